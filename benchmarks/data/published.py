"""The published sets: how they lie on disk, under which licence, and who publishes them. Nothing is downloaded."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Published:
    """A public data set as its publisher hands it out."""

    title: str
    layout: str
    """What lies below the folder, exactly."""
    licence: str
    source: str
    """Who publishes it, and under which name to look for it."""
    classes: tuple[str, ...]

    def how_to_get(self) -> str:
        """One sentence for whoever has not got it."""
        return (
            f"{self.title} is published by {self.source} under {self.licence}: accept that licence there and unpack "
            "the files yourself, nothing is downloaded here"
        )


PUBLISHED = {
    "mvtec-ad": Published(
        "MVTec AD",
        "DIR/<class>/train/good/*.png, DIR/<class>/test/good/*.png, DIR/<class>/test/<kind>/*.png and "
        "DIR/<class>/ground_truth/<kind>/*_mask.png for each of 15 classes",
        "CC BY-NC-SA 4.0 (no commercial use)",
        'MVTec Software GmbH as "MVTec AD"',
        ("bottle", "cable", "capsule", "carpet", "grid", "hazelnut", "leather", "metal_nut", "pill", "screw", "tile",
         "toothbrush", "transistor", "wood", "zipper"),
    ),
    "visa": Published(
        "VisA",
        "DIR/split_csv/1cls.csv (columns object,split,label,image,mask), DIR/<object>/Data/Images/{Normal,Anomaly}/* "
        "and DIR/<object>/Data/Masks/Anomaly/* for each of 12 objects",
        "CC BY 4.0",
        'Amazon Science as "VisA", in its repository "spot-diff"',
        ("candle", "capsules", "cashew", "chewinggum", "fryum", "macaroni1", "macaroni2", "pcb1", "pcb2", "pcb3",
         "pcb4", "pipe_fryum"),
    ),
    "sewer-ml": Published(
        "Sewer-ML",
        "DIR/SewerML_Val.csv or DIR/annotations/SewerML_Val.csv (columns Filename, Defect and the 17 codes), and its "
        "pictures in DIR or in one folder below it, such as DIR/Val",
        "CC BY-NC-SA 4.0 (no commercial use; its form asks who you are)",
        'Aalborg University, Visual Analysis and Perception, as "Sewer-ML"',
        ("sewer-ml",),
    ),
}  # fmt: skip
"""By the name that `--layout` takes."""
