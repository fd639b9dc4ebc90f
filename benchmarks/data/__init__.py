"""Readers of labelled pictures: MVTec AD and its layout, VisA, Sewer-ML; what is wrong with a set is an error."""
