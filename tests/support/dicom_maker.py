"""A small writer of synthetic DICOM files: films, slices and enhanced objects, odd ones included."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pydicom import uid
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence

CR = "1.2.840.10008.5.1.4.1.1.1"
DX = "1.2.840.10008.5.1.4.1.1.1.1"
CT = "1.2.840.10008.5.1.4.1.1.2"
MR = "1.2.840.10008.5.1.4.1.1.4"
ENHANCED_MR = "1.2.840.10008.5.1.4.1.1.4.1"
SECONDARY = "1.2.840.10008.5.1.4.1.1.7"
ULTRASOUND_CINE = "1.2.840.10008.5.1.4.1.1.3.1"


def scene(rows: int = 36, columns: int = 40, top: int = 4095, phase: float = 0.0) -> np.ndarray:
    """A smooth picture without any symmetry, 0..top, uint16."""
    y, x = np.mgrid[:rows, :columns]
    wave = np.sin(x / 5 + phase) + np.cos(y / 3 + x / 11) + x / columns - 0.5 * y / rows
    return ((wave - wave.min()) / np.ptp(wave) * top).round().astype(np.uint16)


def dataset(pixels: np.ndarray, sop_class: str = CR, modality: str = "CR", **elements: Any) -> Dataset:
    """A dataset with pixels ``([frames,] rows, columns[, 3])``; ``elements`` by keyword, None removes."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    ds.SOPClassUID = sop_class
    ds.SOPInstanceUID = uid.generate_uid()
    ds.StudyInstanceUID, ds.SeriesInstanceUID = "1.2.3.4", "1.2.3.5"
    ds.Modality, ds.PatientID, ds.StudyDate = modality, "P1", "20200131"
    colour = pixels.shape[-1] == 3 and pixels.ndim > 2
    grid = pixels.shape[:-1] if colour else pixels.shape
    if len(grid) == 3:
        ds.NumberOfFrames = grid[0]
    ds.Rows, ds.Columns = grid[-2:]
    ds.SamplesPerPixel = 3 if colour else 1
    ds.PhotometricInterpretation = "RGB" if colour else "MONOCHROME2"
    if colour:
        ds.PlanarConfiguration = 0
    bits = pixels.dtype.itemsize * 8
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = bits, bits, bits - 1
    ds.PixelRepresentation = int(pixels.dtype.kind == "i")
    ds.PixelData = pixels.tobytes() + b"\0" * (pixels.nbytes % 2)
    ds["PixelData"].VR = "OW" if bits > 8 else "OB"
    change(ds, **elements)
    return ds


def change(ds: Dataset, **elements: Any) -> Dataset:
    """Sets elements by keyword, whatever they are; ``None`` removes one."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for keyword, value in elements.items():
            if value is None:
                delattr(ds, keyword)
            elif keyword.startswith("Rescale"):
                ds.add_new(keyword, "DS" if value.strip("-.0123456789") == "" else "LO", value)
            elif keyword in ("PixelPaddingValue", "PixelPaddingRangeLimit"):
                ds.add_new(keyword, "SS" if value < 0 else "US", value)
            else:
                setattr(ds, keyword, value)
    return ds


def write(path: Path, ds: Dataset) -> Path:
    """Writes a file in the encoding that its transfer syntax asks for."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ds.save_as(path, enforce_file_format=True)
    return path


def film(path: Path, pixels: np.ndarray | None = None, **elements: Any) -> Path:
    """One CR film."""
    return write(path, dataset(scene() if pixels is None else pixels, **elements))


def compressed(path: Path, ds: Dataset, syntax: str, **arguments: Any) -> Path:
    """Writes ``ds`` with its pixels compressed by pydicom."""
    ds.compress(syntax, generate_instance_uid=False, **arguments)
    return write(path, ds)


def jpeg(path: Path, pixels: np.ndarray) -> Path:
    """A baseline JPEG, 8 bits, made by Pillow."""
    ds = dataset(pixels, SECONDARY, "OT")
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=95)
    ds.PixelData = encapsulate([stream.getvalue()])
    ds["PixelData"].VR = "OB"
    ds["PixelData"].is_undefined_length = True
    if ds.SamplesPerPixel == 3:
        ds.PhotometricInterpretation = "YBR_FULL_422"
    ds.file_meta.TransferSyntaxUID = uid.JPEGBaseline8Bit
    return write(path, ds)


def by_gdcm(path: Path, source: Path, syntax: str) -> Path:
    """Transcodes a file with GDCM; ``syntax`` is GDCM's name for it."""
    import gdcm

    reader = gdcm.ImageReader()
    reader.SetFileName(str(source))
    assert reader.Read()
    change_syntax = gdcm.ImageChangeTransferSyntax()
    change_syntax.SetTransferSyntax(gdcm.TransferSyntax(getattr(gdcm.TransferSyntax, syntax)))
    change_syntax.SetInput(reader.GetImage())
    if syntax == "JPEGExtendedProcess2_4":
        codec = gdcm.JPEGCodec()
        codec.SetLossless(False)
        codec.SetQuality(95)
        change_syntax.SetUserCodec(codec)
    assert change_syntax.Change()
    writer = gdcm.ImageWriter()
    writer.SetFile(reader.GetFile())
    writer.SetImage(change_syntax.GetOutput())
    writer.SetFileName(str(path))
    assert writer.Write()
    return path


AXIAL = (1, 0, 0, 0, 1, 0)
SAGITTAL = (0, 1, 0, 0, 0, -1)
CORONAL = (1, 0, 0, 0, 0, -1)
ORIGIN = (-40.0, -30.0, 10.0)


def series(
    folder: Path,
    count: int = 6,
    orientation: tuple[float, ...] = AXIAL,
    step: float = 2.5,
    name: str = "slice",
    start: int = 0,
    **elements: Any,
) -> list[Path]:
    """CT slices along the normal of ``orientation``, each with pixels of its own, signed 16 bit."""
    across = np.cross(orientation[:3], orientation[3:])
    paths = []
    for k in range(start, start + count):
        pixels = (scene(phase=k / 3).astype(np.int16) - 1024) + np.int16(k)
        position = [float(x) for x in np.array(ORIGIN) + across * step * k]
        ds = dataset(pixels, CT, "CT", RescaleSlope="1", RescaleIntercept="-24")
        change(ds, ImageOrientationPatient=list(orientation), ImagePositionPatient=position)
        change(ds, PixelSpacing=[0.8, 0.6], InstanceNumber=k + 1, SliceThickness=1)
        change(ds, **elements)
        paths.append(write(folder / f"{name}{(k * 7) % 100:03d}_{k}.dcm", ds))
    return paths


def enhanced(path: Path, pixels: np.ndarray, positions: list[list[float]], **keys: list[Any]) -> Path:
    """An enhanced MR object; ``keys`` may hold ``echo`` (one per frame)."""
    ds = dataset(pixels, ENHANCED_MR, "MR")
    shared, orientation, measures = Dataset(), Dataset(), Dataset()
    orientation.ImageOrientationPatient = list(AXIAL)
    measures.PixelSpacing = [0.8, 0.6]
    shared.PlaneOrientationSequence = Sequence([orientation])
    shared.PixelMeasuresSequence = Sequence([measures])
    ds.SharedFunctionalGroupsSequence = Sequence([shared])
    frames = []
    for k, position in enumerate(positions):
        frame, plane, transform = Dataset(), Dataset(), Dataset()
        plane.ImagePositionPatient = position
        transform.RescaleSlope, transform.RescaleIntercept = 2, 5
        frame.PlanePositionSequence = Sequence([plane])
        frame.PixelValueTransformationSequence = Sequence([transform])
        if "echo" in keys:
            echo = Dataset()
            echo.EffectiveEchoTime = keys["echo"][k]
            frame.MREchoSequence = Sequence([echo])
        frames.append(frame)
    ds.PerFrameFunctionalGroupsSequence = Sequence(frames)
    return write(path, ds)
