"""Kinds of files that hold images and are not read here: what they are called, and what to do.

They are told by their first bytes, or where their format has none, by their names.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from leakscan.sources.formats.signatures import Signature, by_first_byte, starts_with
from leakscan.sources.formats.unread_heads import (
    box,
    is_answer,
    is_ar,
    is_hdf5,
    is_idx,
    is_old_matlab,
    is_old_pickle,
    is_pickle,
    is_safetensors,
    is_tfrecord,
    is_transport_stream,
)


@dataclass(frozen=True)
class UnreadKind:
    """One kind of files that is known and not read.

    Attributes:
        name: What such a file is, for a count of such files.
        advice: What to do about it, as the second half of a sentence.
        suffixes: The endings of its names, in small letters.
        opens: Tells from the first bytes (2,048 at most) whether it is such a file; ``None`` where only
            the name can tell.
    """

    name: str
    advice: str
    suffixes: tuple[str, ...]
    opens: Callable[[bytes], bool] | None = None

    @property
    def sentence(self) -> str:
        """What a row says of such a file."""
        word = self.name.split()[0]
        spelt = word[:2].isupper() and word[0] in "AEFHILMNRSX" and word not in _WORDS
        article = "an" if spelt or self.name[0] in "aeioAEIO" else "a"
        return f"It is {article} {self.name}, which is not read here; {self.advice}."


_SAVE_IMAGES = "save its images as PNG, TIFF or NIfTI"
_TO_NIFTI = "convert it to NIfTI"
_UNPACK = "unpack it, or pack it as zip or tar"
_FRAMES = "save its frames as images"
_UNPICKLE = "save its arrays as PNG, TIFF or NumPy files"
_SLIDE = "export the regions that matter as TIFF or PNG"

_WORDS = ("MATLAB", "FITS", "FLIC", "FLIF", "RAR", "MINC")
"""Names in capitals that people say as words, not letter by letter."""

_DECRYPT = "decrypt it"
_VOLUME = "convert it to NIfTI or DICOM"

UNREAD: tuple[UnreadKind, ...] = (
    UnreadKind("7z archive", _UNPACK, (".7z",), starts_with(b"7z\xbc\xaf\x27\x1c")),
    UnreadKind(
        "cpio archive",
        _UNPACK,
        (".cpio",),
        starts_with(b"070701", b"070702", b"070707", b"\xc7\x71", b"\x71\xc7"),
    ),
    UnreadKind("ar archive", _UNPACK, (), Signature(is_ar, b"!")),
    UnreadKind("RPM package", _UNPACK, (".rpm",), starts_with(b"\xed\xab\xee\xdb")),
    UnreadKind("LHA archive", _UNPACK, (".lzh", ".lha"), lambda h: h[2:5] in (b"-lh", b"-lz")),
    UnreadKind("ARJ archive", _UNPACK, (".arj",), starts_with(b"\x60\xea")),
    UnreadKind("ACE archive", _UNPACK, (".ace",), lambda h: h[7:14] == b"**ACE**"),
    UnreadKind("cabinet archive", _UNPACK, (".cab",), starts_with(b"MSCF")),
    UnreadKind("StuffIt archive", _UNPACK, (".sit", ".sitx"), starts_with(b"StuffIt", b"SIT!")),
    UnreadKind("xar archive", _UNPACK, (".xar",), starts_with(b"xar!")),
    UnreadKind("Windows image", _UNPACK, (".wim",), starts_with(b"MSWIM\0\0\0")),
    UnreadKind("disc image", _UNPACK, (".iso", ".dmg", ".vhd", ".vhdx", ".squashfs")),
    UnreadKind("RAR archive", _UNPACK, (".rar",), starts_with(b"Rar!\x1a\x07")),
    UnreadKind(
        "AVI video", _FRAMES, (".avi",), Signature(lambda h: h[:4] == b"RIFF" and h[8:12] == b"AVI ", b"R")
    ),
    UnreadKind("Matroska video", _FRAMES, (".mkv", ".webm"), starts_with(b"\x1a\x45\xdf\xa3")),
    UnreadKind(
        "MP4 video",
        _FRAMES,
        (".mp4", ".m4v", ".mov"),
        box(
            b"isom", b"iso2", b"iso4", b"iso5", b"iso6", b"mp41", b"mp42", b"avc1", b"M4V ", b"qt  ", b"dash"
        ),
    ),
    UnreadKind("Canon raw photograph", _SAVE_IMAGES, (".cr3",), box(b"crx ")),
    UnreadKind("MP4 video", _FRAMES, (".3gp", ".3g2", ".f4v"), lambda h: h[4:8] == b"ftyp"),
    UnreadKind("QuickTime video", _FRAMES, (".qt",), lambda h: h[4:8] in (b"moov", b"mdat", b"wide")),
    UnreadKind("MPEG video", _FRAMES, (".mpg", ".mpeg"), starts_with(b"\0\0\1\xba", b"\0\0\1\xb3")),
    UnreadKind("Windows Media video", _FRAMES, (".wmv",), starts_with(b"\x30\x26\xb2\x75\x8e\x66\xcf\x11")),
    UnreadKind("MPEG video", _FRAMES, (".m2ts", ".mts", ".vob"), is_transport_stream),
    UnreadKind(
        "Ogg video",
        _FRAMES,
        (".ogv", ".ogm"),
        Signature(lambda h: h[:4] == b"OggS" and b"theora" in h[:64], b"O"),
    ),
    UnreadKind("Flash video", _FRAMES, (".flv",), starts_with(b"FLV\1")),
    UnreadKind("raw video", _FRAMES, (".y4m",), starts_with(b"YUV4MPEG2")),
    UnreadKind("DV video", _FRAMES, (".dv",)),
    UnreadKind("large Photoshop document", _SAVE_IMAGES, (".psb",), starts_with(b"8BPS\0\2")),
    UnreadKind("IFUNC picture", _SAVE_IMAGES, (".im",), starts_with(b"Image type: ")),
    UnreadKind("GIMP document", _SAVE_IMAGES, (".xcf",), starts_with(b"gimp xcf ")),
    UnreadKind("Krita document", _SAVE_IMAGES, (".kra",)),
    UnreadKind("MNG animation", _FRAMES, (".mng",), starts_with(b"\x8aMNG\r\n\x1a\n")),
    UnreadKind("JNG picture", _SAVE_IMAGES, (".jng",), starts_with(b"\x8bJNG\r\n\x1a\n")),
    UnreadKind("FLIC animation", _FRAMES, (".fli", ".flc"), lambda h: h[4:6] in (b"\x11\xaf", b"\x12\xaf")),
    UnreadKind("Photo CD picture", _SAVE_IMAGES, (".pcd",)),
    UnreadKind("PICT picture", _SAVE_IMAGES, (".pict", ".pct")),
    UnreadKind("Softimage picture", _SAVE_IMAGES, (), starts_with(b"\x53\x80\xf6\x34")),
    UnreadKind("BLP texture", _SAVE_IMAGES, (".blp",), starts_with(b"BLP1", b"BLP2")),
    UnreadKind("KTX texture", _SAVE_IMAGES, (".ktx", ".ktx2"), starts_with(b"\xabKTX ")),
    UnreadKind(
        "PostScript document", _SAVE_IMAGES, (".eps", ".ps"), starts_with(b"%!PS", b"\xc5\xd0\xd3\xc6")
    ),
    UnreadKind("Windows metafile", _SAVE_IMAGES, (".wmf",), starts_with(b"\xd7\xcd\xc6\x9a")),
    UnreadKind("Windows metafile", _SAVE_IMAGES, (".emf",), lambda h: h[40:44] == b" EMF"),
    UnreadKind("BPG picture", _SAVE_IMAGES, (".bpg",), starts_with(b"BPG\xfb")),
    UnreadKind("OpenEXR picture", _SAVE_IMAGES, (".exr",), starts_with(b"\x76\x2f\x31\x01")),
    UnreadKind("Radiance picture", _SAVE_IMAGES, (".hdr",), starts_with(b"#?RADIANCE", b"#?RGBE")),
    UnreadKind("JPEG XR picture", _SAVE_IMAGES, (".jxr", ".wdp", ".hdp"), starts_with(b"II\xbc\x01")),
    UnreadKind("JBIG2 picture", _SAVE_IMAGES, (".jb2", ".jbig2"), starts_with(b"\x97JB2\r\n\x1a\n")),
    UnreadKind("DjVu document", _SAVE_IMAGES, (".djvu", ".djv"), starts_with(b"AT&TFORM")),
    UnreadKind("Farbfeld picture", _SAVE_IMAGES, (".ff",), starts_with(b"farbfeld")),
    UnreadKind("FLIF picture", _SAVE_IMAGES, (".flif",), starts_with(b"FLIF")),
    UnreadKind("DPX picture", _SAVE_IMAGES, (".dpx",), starts_with(b"SDPX", b"XPDS")),
    UnreadKind("Fujifilm raw photograph", _SAVE_IMAGES, (".raf",), starts_with(b"FUJIFILMCCD-RAW")),
    UnreadKind("encrypted Parquet table", "decrypt it and write it anew", (), starts_with(b"PARE")),
    UnreadKind("FITS image", _SAVE_IMAGES, (".fits", ".fit", ".fts"), starts_with(b"SIMPLE  =")),
    UnreadKind("MATLAB file", _SAVE_IMAGES, (".mat",), starts_with(b"MATLAB 5.0 MAT", b"MATLAB 7.3 MAT")),
    UnreadKind("MATLAB file", _SAVE_IMAGES, (".mat",)),
    UnreadKind("HDF5 file", _SAVE_IMAGES, (".h5", ".hdf5", ".hdf"), is_hdf5),
    UnreadKind("netCDF file", _SAVE_IMAGES, (".nc",), starts_with(b"CDF\x01", b"CDF\x02", b"CDF\x05")),
    UnreadKind("TensorFlow record file", _SAVE_IMAGES, (), is_tfrecord),
    UnreadKind("TensorFlow record file", _SAVE_IMAGES, (".tfrecord", ".tfrecords", ".tfrec")),
    UnreadKind("R data file", _SAVE_IMAGES, (".rds", ".rda", ".rdata")),
    UnreadKind("BSON file", _SAVE_IMAGES, (".bson",)),
    UnreadKind("MessagePack file", _SAVE_IMAGES, (".msgpack", ".mpk")),
    UnreadKind("LevelDB table", _SAVE_IMAGES, (".ldb", ".sst")),
    UnreadKind("WBMP picture", _SAVE_IMAGES, (".wbmp",)),
    UnreadKind("Feather file of version 1", "write it as Parquet", (".feather",), starts_with(b"FEA1")),
    UnreadKind("Python pickle", _UNPICKLE, (".pkl", ".pickle", ".joblib", ".pkl.gz", ".pickle.gz")),
    UnreadKind("Python pickle", _UNPICKLE, (), Signature(is_pickle, b"\x80")),
    UnreadKind("IDX array", _UNPICKLE, (".idx3-ubyte",), Signature(is_idx, b"\0")),
    UnreadKind("safetensors file", _UNPICKLE, (".safetensors",), is_safetensors),
    UnreadKind("Zarr array", _UNPICKLE, (".zarray",)),
    UnreadKind("ORC table", "write it as Parquet", (".orc",), starts_with(b"ORC")),
    UnreadKind("Avro file", "write it as Parquet", (".avro",), starts_with(b"Obj\x01")),
    UnreadKind("SQLite database", _SAVE_IMAGES, (".sqlite", ".sqlite3"), starts_with(b"SQLite format 3\0")),
    UnreadKind("MosaicML shard", _SAVE_IMAGES, (".mds", ".mds.zstd", ".mds.zst")),
    UnreadKind("FFCV file", _SAVE_IMAGES, (".beton",)),
    UnreadKind("MXNet record file", _SAVE_IMAGES, (".rec",), starts_with(b"\x0a\x23\xd7\xce")),
    UnreadKind("Lance table", "write it as Parquet", (".lance",)),
    UnreadKind("DuckDB database", _SAVE_IMAGES, (".duckdb",), lambda h: h[8:12] == b"DUCK"),
    UnreadKind("PyTorch file", _UNPICKLE, (), lambda h: h[:4] == b"PK\3\4" and b"/data.pkl" in h[30:286]),
    UnreadKind("PyTorch file", _UNPICKLE, (".pt", ".pth")),
    UnreadKind("Blosc file", _UNPICKLE, (".b2nd", ".blosc2", ".b2frame")),
    UnreadKind("LMDB database", _SAVE_IMAGES, (".mdb", ".lmdb"), lambda h: h[16:20] == b"\xde\xc0\xef\xbe"),
    UnreadKind("Zeiss slide", _SLIDE, (".czi",), starts_with(b"ZISRAWFILE")),
    UnreadKind("Nikon microscope file", _SLIDE, (".nd2",), starts_with(b"\xda\xce\xbe\n")),
    UnreadKind("Leica microscope file", _SLIDE, (".lif",)),
    UnreadKind("Olympus slide", _SLIDE, (".vsi", ".ets", ".oib", ".oif")),
    UnreadKind("MIRAX slide", _SLIDE, (".mrxs",)),
    UnreadKind("Imaris file", _SLIDE, (".ims",)),
    UnreadKind("VTK image", _TO_NIFTI, (".vti",)),
    UnreadKind("MRC volume", _TO_NIFTI, (".mrc", ".mrcs")),
    UnreadKind("MRtrix volume", _TO_NIFTI, (".mif", ".mif.gz", ".mih"), starts_with(b"mrtrix image")),
    UnreadKind("BrainVoyager volume", _TO_NIFTI, (".vmr", ".v16")),
    UnreadKind("Interfile volume", _TO_NIFTI, (".hv", ".h33", ".i33"), starts_with(b"!INTERFILE")),
    UnreadKind("answer of a server in parts", "save its parts as files", (), is_answer),
    UnreadKind("encrypted file", _DECRYPT, (), starts_with(b"Salted__", b"age-encryption.org/")),
    UnreadKind(
        "disc image",
        _UNPACK,
        (".qcow2", ".vmdk", ".vdi"),
        starts_with(b"hsqs", b"QFI\xfb", b"KDMV", b"<<< Oracle VM", b"\x45\x3d\xcd\x28"),
    ),
    UnreadKind("ZOO archive", _UNPACK, (".zoo",), starts_with(b"ZOO ")),
    UnreadKind("ZPAQ archive", _UNPACK, (".zpaq",), starts_with(b"7kS", b"zPQ")),
    UnreadKind(
        "file compressed in a way that is not read",
        "unpack it, or pack it with gzip or zstd",
        (),
        starts_with(b"\x1f\x9d", b"\x1f\xa0", b"LZIP\1", b"\x89LZO\0", b"LRZI", b"RZIP", b"\xff\6\0\0sNaPpY"),
    ),
    UnreadKind("RealMedia video", _FRAMES, (".rm", ".rmvb"), starts_with(b".RMF")),
    UnreadKind("Flash movie", _FRAMES, (".swf",), starts_with(b"FWS", b"CWS", b"ZWS")),
    UnreadKind(
        "stream of H.264 or H.265",
        _FRAMES,
        (".h264", ".264", ".h265", ".265", ".hevc"),
        starts_with(b"\0\0\0\1\x67", b"\0\0\0\1\x27", b"\0\0\0\1\x40\1", b"\0\0\0\1\x09"),
    ),
    UnreadKind("stream of AV1", _FRAMES, (".obu", ".ivf"), starts_with(b"DKIF", b"\x12\0\x0a")),
    UnreadKind("MXF video", _FRAMES, (".mxf",), starts_with(b"\6\x0e\x2b\x34\2\5\1\1")),
    UnreadKind("NUT video", _FRAMES, (".nut",), starts_with(b"nut/multimedia")),
    UnreadKind("Phantom video", _FRAMES, (".cine",), starts_with(b"CI\x2c\0")),
    UnreadKind("NorPix video", _FRAMES, (), starts_with(b"\xed\xfe\0\0N\0o\0r\0")),
    UnreadKind("Olympus raw photograph", _SAVE_IMAGES, (".orf",), starts_with(b"IIRO", b"IIRS", b"MMOR")),
    UnreadKind("Panasonic raw photograph", _SAVE_IMAGES, (".rw2",), starts_with(b"IIU\0")),
    UnreadKind("Sigma raw photograph", _SAVE_IMAGES, (".x3f",), starts_with(b"FOVb")),
    UnreadKind("Minolta raw photograph", _SAVE_IMAGES, (".mrw",), starts_with(b"\0MRM")),
    UnreadKind("Canon raw photograph", _SAVE_IMAGES, (".crw",), starts_with(b"II\x1a\0\0\0HEAP")),
    UnreadKind("PowerVR texture", _SAVE_IMAGES, (".pvr",), starts_with(b"PVR\3")),
    UnreadKind("ASTC texture", _SAVE_IMAGES, (".astc",), starts_with(b"\x13\xab\xa1\x5c")),
    UnreadKind("Basis texture", _SAVE_IMAGES, (".basis", ".crn")),
    UnreadKind(
        "Cineon picture", _SAVE_IMAGES, (".cin",), starts_with(b"\x80\x2a\x5f\xd7", b"\xd7\x5f\x2a\x80")
    ),
    UnreadKind("VICAR picture", _SAVE_IMAGES, (".vicar", ".vic"), starts_with(b"LBLSIZE=")),
    UnreadKind("PDS picture", _SAVE_IMAGES, (), starts_with(b"PDS_VERSION_ID")),
    UnreadKind("ENVI picture", _SAVE_IMAGES, (), starts_with(b"ENVI\n", b"ENVI\r\n")),
    UnreadKind("Khoros picture", _SAVE_IMAGES, (".viff", ".xv"), starts_with(b"\xab\1")),
    UnreadKind("PGX picture", _SAVE_IMAGES, (".pgx",), starts_with(b"PG ML ", b"PG LM ")),
    UnreadKind("WSQ fingerprint", _SAVE_IMAGES, (".wsq",), starts_with(b"\xff\xa0\xff\xa4")),
    UnreadKind("JBIG picture", _SAVE_IMAGES, (".jbg", ".jbig", ".bie")),
    UnreadKind("fax", _SAVE_IMAGES, (".g3", ".g4", ".fax")),
    UnreadKind("Varian picture", _VOLUME, (".fdf",), starts_with(b"#!/usr/local/fdf")),
    UnreadKind("GE picture", _VOLUME, (), starts_with(b"IMGF")),
    UnreadKind("Bruker volume", _VOLUME, ("2dseq",)),
    UnreadKind("Stimulate volume", _VOLUME, (".sdt", ".spr")),
    UnreadKind(
        "Scanco volume",
        _VOLUME,
        (".isq", ".rsq"),
        starts_with(b"CTDATA-HEADER", b"AIMDATA_V"),
    ),
    UnreadKind("Kretz ultrasound volume", _VOLUME, (), starts_with(b"KRETZFILE")),
    UnreadKind("Heidelberg OCT file", _SAVE_IMAGES, (".e2e",), starts_with(b"CMDb", b"HSF-OCT-")),
    UnreadKind("Topcon OCT file", _SAVE_IMAGES, (), starts_with(b"FOCT")),
    UnreadKind("ICS picture", _SAVE_IMAGES, (".ids",)),
    UnreadKind("imzML image", _SAVE_IMAGES, (".imzml", ".ibd")),
    UnreadKind("HDF4 file", _SAVE_IMAGES, (".hdf4",), starts_with(b"\x0e\3\x13\1")),
    UnreadKind("DigitalMicrograph picture", _SLIDE, (".dm3", ".dm4")),
    UnreadKind("Princeton Instruments picture", _SAVE_IMAGES, (".spe",)),
    UnreadKind("Andor picture", _SAVE_IMAGES, (), starts_with(b"Andor Technology")),
    UnreadKind("ICS picture", _SAVE_IMAGES, (), lambda h: b"ics_version" in h[:64]),
    UnreadKind(
        "Bio-Rad microscope file",
        _SLIDE,
        (),
        lambda h: h[54:56] == b"\x39\x30" and h[14:16] in (b"\0\0", b"\1\0") and h[0:1] != b"\0",
    ),
    UnreadKind("DeltaVision file", _SLIDE, (".r3d",)),
    UnreadKind("Zeiss microscope file", _SLIDE, (".zvi",)),
    UnreadKind(
        "Hamamatsu slide",
        _SLIDE,
        (".vms", ".vmu"),
        starts_with(b"[Virtual Microscope Specimen]", b"[Uncompressed Virtual"),
    ),
    UnreadKind("Philips slide", _SLIDE, (".isyntax",)),
    UnreadKind("Olympus picture", _SAVE_IMAGES, (), starts_with(b"SIS0")),
    UnreadKind("Alicona picture", _SAVE_IMAGES, (".al3d",), starts_with(b"AliconaImaging")),
    UnreadKind("Gwyddion picture", _SAVE_IMAGES, (".gwy",), starts_with(b"GWYP", b"GWYO")),
    UnreadKind(
        "MRC volume", _TO_NIFTI, (), lambda h: h[208:212] == b"MAP " and h[212:213] in (b"D", b"\x11")
    ),
    UnreadKind("NORB matrix", _UNPICKLE, (), starts_with(b"\x55\x4c\x3d\x1e")),
    UnreadKind("IDL file", _SAVE_IMAGES, (), starts_with(b"SR\0\4", b"SR\0\6")),
    UnreadKind(
        "R data file",
        _SAVE_IMAGES,
        (),
        starts_with(
            b"RDX2\n",
            b"RDX3\n",
            b"RDA2\n",
            b"RDA3\n",
            b"X\n\0\0\0\2",
            b"X\n\0\0\0\3",
            b"A\n2\n",
            b"A\n3\n",
            b"\x0b\x0e\x0a\x0c",
        ),
    ),
    UnreadKind(
        "Access database",
        _SAVE_IMAGES,
        (".accdb",),
        lambda h: h[4:19] in (b"Standard ACE DB", b"Standard Jet DB"),
    ),
    UnreadKind("Outlook store", "export its messages", (".pst", ".ost"), starts_with(b"!BDN")),
    UnreadKind("CBOR file", _SAVE_IMAGES, (), starts_with(b"\xd9\xd9\xf7")),
    UnreadKind("CBOR file", _SAVE_IMAGES, (".cbor",)),
    UnreadKind("UBJSON file", _SAVE_IMAGES, (".ubj", ".bjd")),
    UnreadKind("Caffe picture", _SAVE_IMAGES, (".binaryproto",)),
    UnreadKind("Neuroglancer volume", _SAVE_IMAGES, (), lambda h: b'"neuroglancer_multiscale_volume"' in h),
    UnreadKind("Mathematica file", _SAVE_IMAGES, (".wxf",)),
    UnreadKind("MATLAB file", _SAVE_IMAGES, (), is_old_matlab),
    UnreadKind("Python pickle", _UNPICKLE, (), Signature(is_old_pickle, b"(]}c")),
)
"""The kinds in the order in which a file is tried."""


_BY_FIRST_BYTE = by_first_byte((kind, kind.opens) for kind in UNREAD if kind.opens is not None)
_ONLY_NAMED = tuple(suffix for kind in UNREAD if kind.opens is None for suffix in kind.suffixes)
_NUMBERS_ALONE = re.compile(rb"[\d\s.,;eE+-]+")
_SHARD = re.compile(r"-\d{5}-of-\d{5}\Z")


def is_transform(name: str, head: bytes) -> bool:
    r"""Whether a file with the name of a MATLAB file is a few numbers as text, as FSL writes transforms.

    Args:
        name: The file's name.
        head: Its first bytes.

    Example:
        >>> is_transform("to_mni.mat", b"1 0 0 0.5\n0 1 0 0\n"), is_transform("films.mat", b"MATLAB 5.0")
        (True, False)
    """
    return name.lower().endswith(".mat") and _NUMBERS_ALONE.fullmatch(head) is not None


def unread_kind(name: str, head: bytes) -> UnreadKind | None:
    """The kind of a file that no format reads, or ``None`` where it is not known to hold images.

    Args:
        name: The file's name.
        head: Its first bytes.

    Example:
        >>> unread_kind("loop", b"RIFF....AVI LIST").sentence
        'It is an AVI video, which is not read here; save its frames as images.'
        >>> unread_kind("notes.txt", b"two films") is None
        True
    """
    for kind, opens in _BY_FIRST_BYTE[head[0]] if head else ():
        if opens(head):
            return kind
    lower = name.lower()
    if "-of-" in lower:
        lower = _SHARD.sub("", lower)
    if not head or not lower.endswith(_ONLY_NAMED):
        return None
    if is_transform(name, head):
        return None
    return next(kind for kind in UNREAD if kind.opens is None and lower.endswith(kind.suffixes))


UNREAD_SUFFIXES = tuple(suffix for kind in UNREAD for suffix in kind.suffixes if suffix != ".hdr")
"""The endings of names that promise such a file."""
