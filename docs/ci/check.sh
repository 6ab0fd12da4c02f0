#!/bin/sh
# Compares new images with a reference and writes what a build server reads.
# usage: check.sh REFERENCE NEW [more options of leakscan compare]
# The exit code is that of leakscan compare; a file verdicts.parquet beside it accepts overlaps.
set -u
run="${LEAKSCAN_RUN:-leakscan-run}"
verdicts="${LEAKSCAN_VERDICTS:-verdicts.parquet}"
if [ -f "$verdicts" ]; then
  set -- "$@" --verdicts "$verdicts"
fi
leakscan compare "$@" -o "$run" --overwrite --hide-paths
code=$?
if [ -f "$run/summary.json" ]; then
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
