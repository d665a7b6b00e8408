"""``python -m cluster``."""

from pipeline.tools.environment import prepare

prepare()  # before anything imports Ray

from cluster.cli import main  # noqa: E402

main()
