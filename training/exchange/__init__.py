"""Labels out to QGIS, CVAT and YOLO, corrections back in, and which chips to label next; see docs/labelling.md."""
