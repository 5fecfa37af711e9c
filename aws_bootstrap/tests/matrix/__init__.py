"""The fault matrix: every AWS call and SSH command of every CLI command, times every fault and signal, one invariant.

scenarios.py   the commands, the account that each starts from, and what each is to reach
recording.py   the calls of a clean run, from the sandbox's log
cases.py       the cases that follow from them, each with an id
bench.py       one sandbox, and what it takes to run one case in it
starter.py     a process with everything imported, which forks one process a command
judge.py       the invariant
run.py         all of it, by `.ci/faults`
coverage.py    what no case reaches
"""
