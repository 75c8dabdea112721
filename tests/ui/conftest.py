"""The programs here are wrong: their `test` items are not run."""

collect_ignore_glob = ["*.tile"]
