"""The execution of jobs: the dispatcher, and the embedded and the distributed driver."""
