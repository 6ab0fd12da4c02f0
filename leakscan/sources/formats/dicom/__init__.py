"""DICOM files: headers in a scan, images from headers, pixels in a worker.

``read_header`` one file, ``assemble`` all headers of a dataset, ``decode`` one image.
"""

from leakscan.sources.formats.dicom.decode import decode
from leakscan.sources.formats.dicom.header import DicomHeader, read_header
from leakscan.sources.formats.dicom.series import assemble

__all__ = ["DicomHeader", "assemble", "decode", "read_header"]
