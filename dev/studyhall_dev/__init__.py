"""The development set of Studyhall: what `make run` and `make test` stand on."""
