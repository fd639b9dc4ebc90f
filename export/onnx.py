"""One call from a head file to the product: a single ONNX file with its manifest inside, proved against torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch

from wordsight.export.calibration import collect
from wordsight.export.centre import image_centre
from wordsight.export.cost import count_cost
from wordsight.export.crops import lay_out, parse_crops
from wordsight.export.describe import (
    describe_crops,
    describe_encoder,
    describe_heatmap,
    describe_object,
    describe_prompts,
    object_pairs,
    tool_versions,
)
from wordsight.export.fused import INPUT_NAME, FusedDetector
from wordsight.export.graph import OPSETS, build_graph
from wordsight.export.loading import embed_guiding, load_encoder_of
from wordsight.export.parity import TOLERANCES, ParityReport
from wordsight.export.plain import Frames, Outputs, reference_outputs
from wordsight.export.proof import prove
from wordsight.export.reduced import DriftReport, reduce
from wordsight.export.resize import with_resize
from wordsight.export.settings import check_outputs, check_settings
from wordsight.runtime.errors import OutputError, SettingError
from wordsight.runtime.files import check_output_file, whole_file
from wordsight.runtime.fits import Fit
from wordsight.runtime.golden import golden_spec
from wordsight.runtime.manifest import (
    METADATA_KEY,
    DriftSpec,
    HeadSpec,
    InputSpec,
    Manifest,
    ScoreSpec,
    WinclipSpec,
)

if TYPE_CHECKING:
    from onnx import ModelProto


def export_model(
    head_path: str | Path,
    out_path: str | Path,
    *,
    encoder_spec: str | None = None,
    fit: str | None = None,
    camera: tuple[int, ...] = (),
    resize: str = "host",
    crops: str = "single",
    objects: Sequence[str] = (),
    patches_output: bool = False,
    winclip: bool = False,
    winclip_options: WinclipSpec | None = None,
    winclip_windows: bool = True,
    heatmap: bool = False,
    centre_frames: Path | None = None,
    precision: str = "fp32",
    calibrate: Path | None = None,
    allow_drift: bool = False,
    seeds_output: bool = False,
    w_pr: float = 1.0,
    w_fnn: float = 1.0,
    device: str = "cpu",
    unverified: bool = False,
    opset: int | None = None,
    on_step: Callable[[str], None] = lambda _: None,
    on_drift: Callable[[DriftReport], None] = lambda _: None,
) -> ParityReport:
    """Export a head with its encoder as one ONNX file, which appears only if it agrees with torch.

    Args:
        head_path: head file of ``wordsight train``, with one or more seeds.
        out_path: the ONNX file to write; an older one is replaced, and kept if anything fails.
        encoder_spec: ``mini``, ``NAME:TAG`` or ``NAME:/path``; None for what the head records.
        fit: how the runtime brings a frame to what the graph takes: "crop", "squash", "pad" or "tiles"; None for how
            pictures came to the encoder in its training, "crop" or "squash".
        camera: (height, width) in pixels of the camera's frames, for "tiles" and for a resize in the graph.
        resize: "host": the runtime fits frames of any size; "graph": the graph takes the camera's frames as they are,
            of that size alone, and fits them itself.
        crops: name of the crop set whose squares are scored; see `wordsight.export.crops`.
        objects: names of further objects, each with a column of the output ``s_pr_objects`` (N, O).
        patches_output: add the output ``patches`` (N, P, D).
        winclip: add WinCLIP's score, map, windows and patches, by its prompt ensemble for the head's object.
        winclip_options: temperature, mean and templates of WinCLIP; None for the paper's.
        winclip_windows: False for WinCLIP's score alone, which any encoder and any crop set can give.
        heatmap: add the output ``heatmap`` (N, h, w): the score of every patch, by the prompts of the head's object.
        centre_frames: pictures whose mean embedding a head trained with ``--centre`` takes images from; not needed
            for mini, whose mean comes from its training nouns.
        precision: one of `wordsight.export.precision.PRECISIONS`: of the image tower; the score path stays fp32.
        calibrate: pictures that set the scales of int8 and fp8 and that a reduced precision is held against fp32 on;
            None for generated ones.
        allow_drift: write a file of reduced precision even if it scores further from fp32 than its precision may; its
            manifest says so.
        seeds_output: add the output ``s_fnn_seeds`` (N, K).
        w_pr: weight of s_pr in the score, 0 or more.
        w_fnn: weight of s_fnn in the score, 0 or more; not both 0.
        device: "cpu", "cuda", ... for the torch side.
        unverified: write the file even where no backend at hand can run it; its manifest then says so. A comparison
            that can be made is made all the same.
        opset: ONNX opset, 18 to 20; None for 20, whose Gelu is one node: an eighth off OpenVINO's time in fp32.
        on_step: called with a line for people before each slow step.
        on_drift: called with what was measured, of a reduced precision.

    Returns:
        How far ONNX Runtime was from torch.

    Raises:
        SettingError: an option out of range.
        OutputError: ``out_path`` cannot be written.
        HeadMismatch: the head belongs to another encoder or other weights.
        ParityError: the graph disagrees with torch by more than the tolerance; no file is left.
        DriftError: a reduced precision scores further from fp32 than it may; no file is left.
        NoBackend, MissingPart: nothing here can run the graph, and ``unverified`` is false.
        TrainingError: the head file or the encoder cannot be loaded.
    """
    opset = opset or OPSETS[-1]
    check_settings(fit, camera, precision, w_pr, w_fnn, opset, resize)
    frame, camera = (camera, ()) if resize == "graph" else ((), camera)
    if calibrate is not None and precision == "fp32":
        raise SettingError("--calibrate goes with a reduced --precision: leave it out")
    check_outputs(crops, camera, patches_output, winclip, winclip_options is not None, winclip_windows, heatmap)
    how = winclip_options or WinclipSpec()
    crop_set = parse_crops(crops)
    target = check_output_file(out_path)
    if target.exists() and Path(head_path).exists() and target.samefile(head_path):
        raise OutputError(f"{target} is the head itself; give the model another name")

    from wordsight.train.checkpoint import load_heads
    from wordsight.train.compositional import class_embeddings

    head_file = load_heads(Path(head_path))
    pairs = object_pairs(head_file.settings.pair, objects)
    on_step("loading the encoder")
    encoder = load_encoder_of(head_file, encoder_spec, device)
    fit = fit or encoder.fit
    layout = lay_out(crop_set, encoder.image_size, camera)
    guiding = embed_guiding(encoder, [head_file.settings.pair])[0]
    guiding_objects = embed_guiding(encoder, pairs) if pairs else None
    named = [head_file.settings.pair, *pairs]
    guiding_winclip = None
    if winclip:
        guiding_winclip = torch.stack(
            [class_embeddings(encoder, pair.object, templates=how.templates, mean=how.mean) for pair in named]
        )
    centre, centre_spec = image_centre(encoder, head_file.heads, centre_frames, cast(Fit, fit))
    score = ScoreSpec(w_pr=w_pr, w_fnn=w_fnn, temperature=encoder.temperature)

    spec = InputSpec(
        size=min(layout.shape),
        camera=camera,
        mean=_three(encoder.mean),
        std=_three(encoder.std),
        fit=cast(Fit, fit),
        name=INPUT_NAME,
    )

    sets = None
    if precision != "fp32":
        on_step("collecting frames")
        sets = collect(calibrate, spec)  # before what is slow: pictures that do not serve are told at once

    on_step("writing the graph")
    device_of = next(encoder.model.parameters()).device
    options: dict[str, Any] = dict(
        w_pr=w_pr,
        w_fnn=w_fnn,
        temperature=score.temperature,
        layout=layout,
        objects=guiding_objects,
        winclip=guiding_winclip,
        winclip_temperature=how.temperature,
        winclip_windows=winclip_windows,
        heatmap=heatmap,
        centre=centre,
    )

    def written(precision: str) -> tuple[FusedDetector, ModelProto]:
        detector = FusedDetector(
            encoder,
            head_file.heads,
            guiding,
            seeds_output=seeds_output,
            patches_output=patches_output,
            precision=precision,
            **options,
        ).to(device_of)
        return detector, build_graph(detector, opset=opset)

    detector, exact = written("fp32")
    model, counted = exact, count_cost(exact)
    if frame:
        # The weights of a resize are no parameters of the model, but its products are work.
        counted = replace(counted, flops=count_cost(with_resize(exact, frame, spec.size, spec.fit)).flops)
    drift: DriftReport | None = None
    if sets is not None:
        reduced = reduce(exact, precision, lambda: written(precision)[1], sets, unverified=unverified, on_step=on_step)
        model, drift = reduced.model, reduced.report
        counted = replace(counted, bytes=count_cost(model).bytes)
        if drift is not None:
            on_drift(drift)
            if not allow_drift:
                drift.require()
    del exact
    if frame:  # last, so that calibration and drift are those of the same file with the resize left to the runtime
        model = with_resize(model, frame, spec.size, spec.fit)

    on_step("comparing an engine with torch")
    taken = replace(spec, frame=frame)
    tolerance = TOLERANCES[precision]

    def reference(frames: Frames) -> Outputs:
        return reference_outputs(encoder, head_file.heads, guiding, frames, patches=patches_output, **options)

    proof = prove(
        model,
        reference,
        spec,
        taken,
        tolerance,
        unverified=unverified,
        may_differ=allow_drift and precision != "fp32",
    )

    manifest = Manifest(
        schema=2 if frame else 1,
        created=datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        wordsight=version("wordsight"),
        input=taken,
        outputs={name: ("N", *proof.expected[name].shape[1:]) for name in detector.output_names},
        encoder=describe_encoder(encoder),
        prompts=describe_prompts(head_file),
        crops=describe_crops(layout, encoder.image_size),
        objects=tuple(describe_object(pair) for pair in pairs),
        heatmap=describe_heatmap(detector.heat),
        winclip=how,
        centre=centre_spec,
        cost=counted,
        drift=DriftSpec() if drift is None else drift.to_spec(),
        score=score,
        head=HeadSpec(sha256=head_file.sha256, seeds=tuple(head_file.seeds)),
        training=head_file.settings.to_dict(),
        precision=precision,
        opset=opset,
        parity=proof.report.to_spec(),
        golden=golden_spec(
            [proof.golden[name][0] for name in ("score", "s_pr", "s_fnn")],
            parity=tolerance,
            drift=0.0 if drift is None else drift.to_spec().max,
        ),
        tools=tool_versions(),
    )
    on_step("writing the file")
    model.metadata_props.add(key=METADATA_KEY, value=manifest.to_json())
    with whole_file(target) as file:
        file.write(model.SerializeToString(deterministic=True))
    return proof.report


def _three(values: tuple[float, ...]) -> tuple[float, float, float]:
    red, green, blue = values
    return float(red), float(green), float(blue)
