"""What the columns of tables that list images are usually called, and what splits are."""

from __future__ import annotations

PATHS = (
    "path", "filepath", "imagepath", "relativepath", "relpath", "filename", "file", "imageindex", "imagefile",
    "imagefilename", "imagename", "image", "dicompath", "dicomfile", "dicom", "imgpath", "img", "fname",
    "fullpath", "pngpath", "niftipath", "jpgpath", "jpegpath", "imagefilepath", "scanpath", "volumepath",
    "imgname", "imgfile", "pngfile", "niftifile", "dicomfilename", "filelocation", "niipath",
    "dcmpath", "mripath", "ctpath", "xraypath", "folderpath", "seriespath",
)  # fmt: skip
"""Names of the column of paths in tables of public data sets, without spaces and underscores."""
PATHS_AT_LAST = ("imageid", "isicid", "imgid", "dicomid", "sopinstanceuid", "imageuid", "fileid", "scanid")
"""Names of columns that hold the names of files without their endings, where nothing names the files."""
SUBJECTS = (
    "subjectid", "patientid", "subject", "patient", "participantid", "participant", "personid", "person",
    "pid", "subjectkey", "subjectidentifier", "patientidentifier", "patientnumber", "patientno",
    "patnum", "ptid", "casesubmitterid", "anonpatientid", "deidentifiedpatientid", "patientkey",
    "mrn", "empi", "empianon",
)  # fmt: skip
SPLITS = ("split", "subset", "partition", "datasplit", "datasetsplit", "splitname")
UIDS = {
    "study_uid": ("studyinstanceuid", "studyuid"),
    "series_uid": ("seriesinstanceuid", "seriesuid"),
    "sop_uid": ("sopinstanceuid", "sopuid"),
}
"""Names of the columns that hold UIDs of DICOM; ids of studies may be counted within each patient."""
SPLIT_WORDS = frozenset(
    {
        "train", "training", "val", "valid", "validation", "dev", "develop", "test", "testing",
        "holdout", "heldout", "eval", "evaluation",
    }
)  # fmt: skip
"""What the splits of data sets are called."""


def plain(name: str) -> str:
    """A column's name without case, spaces and underscores.

    Example:
        >>> plain(" Image Index")
        'imageindex'
    """
    return "".join(c for c in name.casefold() if c.isalnum())


def may_name_files(name: str) -> bool:
    """Whether a column of this name usually holds the paths or the names of images.

    Example:
        >>> may_name_files("Image Index"), may_name_files("age")
        (True, False)
    """
    return plain(name) in PATHS or plain(name) in PATHS_AT_LAST
