#!/bin/sh
# Compares new images with a reference and writes what a build server reads.
# usage: check.sh REFERENCE NEW [more options of leakscan compare]
# The exit code is that of leakscan compare; a file verdicts.parquet beside it accepts overlaps.
# LEAKSCAN_INSTALL   what pip installs first, such as leakscan[cpu]; empty where leakscan is there already
# LEAKSCAN_PATHS     show: names of files stand in the log and in annotations; without it they do not
set -u
if [ -n "${LEAKSCAN_INSTALL:-}" ]; then
  python3 -m pip install --quiet "$LEAKSCAN_INSTALL" || exit 2
fi
if ! command -v leakscan > /dev/null; then
  echo "leakscan is not on the path: install it, or set LEAKSCAN_INSTALL to what pip is to install." >&2
  exit 2
fi
run="${LEAKSCAN_RUN:-leakscan-run}"
verdicts="${LEAKSCAN_VERDICTS:-verdicts.parquet}"
if [ -f "$verdicts" ]; then
  set -- "$@" --verdicts "$verdicts"
fi
if [ "${LEAKSCAN_PATHS:-}" != show ]; then
  set -- "$@" --hide-paths
fi
# A server collects these two: none of an earlier run may stand for this one.
rm -f "$run/junit.xml" "$run/summary.md"
leakscan compare "$@" -o "$run" --overwrite
code=$?
# With code 2 there is no new run: what lies in the folder is of an earlier one.
if [ "$code" -ne 2 ] && [ -f "$run/summary.json" ]; then
  set -- --junit "$run/junit.xml" --markdown "$run/summary.md"
  if [ -n "${GITHUB_ACTIONS:-}" ]; then
    set -- "$@" --annotations
  fi
  leakscan ci "$run" "$@"
  if [ -n "${GITHUB_STEP_SUMMARY:-}" ]; then
    cat "$run/summary.md" >> "$GITHUB_STEP_SUMMARY"
  fi
fi
exit $code
