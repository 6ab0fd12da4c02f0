"""What to try next, in the words of the command line: a hint for every code of an error.

The rooms raise errors with a hint for Python callers and a code. Here the code becomes a hint with commands
and options. ``{path}`` and the facts of an error are put in their places.
"""

from __future__ import annotations

from leakscan.cli.options import SETTING_OPTIONS
from leakscan.errors import HIDDEN_PATH, LeakscanError

HINTS = {
    "against_hidden": "Name all datasets: leakscan compare A B C -o RUN",
    "audit_source": "leakscan audit FOLDER or films.csv",
    "bench_folder": "Name another folder with -o.",
    "cache_unwritable": "Choose another with --cache.",
    "bad_shard": "leakscan fingerprint SOURCE -o PART.fps --shard 3/64",
    "calibration_missing": "leakscan calibrate SOURCE -o FILE",
    "calibration_of_another_encoder": "Make it again with leakscan calibrate.",
    "calibration_outdated": "Make the calibration again: leakscan calibrate.",
    "calibration_of_another_detail": "Calibrate again with leakscan calibrate, or add the model again.",
    "calibration_taken": "Name another file with -o.",
    "faiss_missing": 'Install one: pip install "leakscan[cpu]" or, with an NVIDIA GPU, '
    'pip install "leakscan[gpu]".',
    "few_films": "Lower --images.",
    "few_volumes": "Lower --volumes.",
    "folder_empty": "Hidden files and those that --exclude names do not count.",
    "key_unreadable": "Name another one with --key.",
    "key_unwritable": "Name another place with --key.",
    "list_is_folder": "-o {inside}",
    "manifest_empty": "Rows that --exclude names do not count.",
    "memory_limit": "Raise --max-memory, or lower --workers; the run goes on where it stopped.",
    "memory_too_small": "Raise --max-memory.",
    "memory_unwritable": "Make room on the disk, or choose another cache with --cache.",
    "no_cluster": "Name its head node with --address, such as head-node:6379, or start one: "
    "ray start --head.",
    "no_encoder": "leakscan models list",
    "no_encoder_of_kind": "leakscan models add FILE",
    "no_import_guard": 'Put the call below a line: if __name__ == "__main__":',
    "merge_of_others": "Merge the shards of one dataset, made with one identity key (--key).",
    "merge_target": "Choose another -o.",
    "no_run_folder": "Make one: leakscan compare A B -o RUN",
    "no_named_column": "Check --columns.",
    "no_path_column": "Rename the column that names the files to path, or name it: --columns path=NAME.",
    "no_review_packages": "pip install 'leakscan[review]'",
    "no_simpleitk": "pip install 'leakscan[train]', or add --no-baselines.",
    "no_verdicts": "Check --verdicts; leakscan review and leakscan verdicts add make such a file.",
    "verdicts_are_csv": "Read it back first: leakscan verdicts import verdicts.parquet {path}",
    "verdicts_unwritable": "Keep the verdicts elsewhere: --verdicts FILE.",
    "verdicts_unreadable": "It is left as it is: verdicts cannot be made again. Take a copy from before, or "
    "name another file with --verdicts.",
    "no_list": "Make one: leakscan exclude RUN --from DATASET",
    "no_label_manifest": "Name one with --manifest, or use --stratify folder.",
    "no_splits": "Name the splits by top folders, or by a manifest's column with --split-column.",
    "no_subjects": "Name a manifest with subject_id, or how paths name subjects with --subjects; an "
    "identifier that stands on most images names nobody.",
    "one_source": "leakscan compare A B; inside one: leakscan audit A",
    "other_kind": "Choose another --kind.",
    "output_exists": "Choose another -o, or add --overwrite.",
    "output_taken": "Choose another -o.",
    "port_taken": "Choose another --port, or none: then a free one is taken.",
    "source_inside_source": "Leave it out of the other with --exclude '{inner}/**'.",
    "source_twice": "Leaks inside one dataset: leakscan audit A.",
    "project_key_unreadable": "Make one for all sites of the project: openssl rand -out project.key 32",
    "project_key_short": "Make one for all sites of the project: openssl rand -out project.key 32",
    "project_key_missing": "Name the file of that key with --project-key.",
    "store_of_another_project": "Name the key that it was made with (--project-key), or write a new store.",
    "stores_of_two_projects": "Make one of them again with the --project-key of the other.",
    "keyed_previews": "Leave out --with-previews, or --project-key.",
    "keyed_details": "Leave out --with-details, or --project-key.",
    "no_details": "Leave out --with-details; where there is a GPU, CUDA_VISIBLE_DEVICES= hides it.",
    "ray_missing": 'Install it: pip install "leakscan[ray]", or leave out --engine ray.',
    "shards_missing": "Run leakscan fingerprint --shard for them, and merge again: what is there stays.",
    "store_is_shard": "Join all shards first: leakscan store merge PARTS... -o ALL.fps",
    "store_empty": "Run leakscan fingerprint again.",
    "store_of_another_shard": "Write every shard to a store of its own (-o).",
    "store_of_other_names": "Write a new store (-o), or give --hide-paths as when it was made.",
    "store_of_another_key": "Use the key it was made with (--key), or write a new store.",
    "store_of_another_encoder": "Fingerprint the dataset again with the same leakscan, or add that encoder: "
    "leakscan models add.",
    "several_without_verdicts": "Name one source, or --verdicts FILE.",
    "no_verdict_fits": "Name the sources whose pairs were reviewed; verdicts know pictures by their pixels.",
    "too_few_verdicts": "leakscan review RUN, or declare subjects: --subjects, or subject_id in a manifest.",
    "too_few_subjects": "Name a manifest with subject_id, or how paths name subjects with --subjects.",
    "worker_killed": "Run it again with a smaller --workers.",
    "worker_killed_on_ray": "Run it again on workers with more memory; it goes on where it stopped.",
}


def worded(error: LeakscanError) -> tuple[str, str]:
    """The sentence and the hint of an error, as the command line says them.

    Example:
        >>> worded(LeakscanError("There is only one source.", "Give two paths.", code="one_source"))
        ('There is only one source.', 'leakscan compare A B; inside one: leakscan audit A')
    """
    if error.code == "bad_setting":
        name = str(error.facts["setting"]).rpartition(".")[2]
        flag = SETTING_OPTIONS[name].flags[0].partition("/")[0] if name in SETTING_OPTIONS else name
        return error.filled(f"{flag} is {{value}}; it must be {{wanted}}."), error.hint
    hint = error.filled(HINTS.get(error.code, error.hint_sentence))
    return error.message, "" if HIDDEN_PATH in hint else hint  # a hint about a hidden place says nothing
