"""``python -m tuning``."""

from pipeline.tools.environment import prepare

prepare()  # before anything imports Ray

from tuning.cli import main  # noqa: E402

main()
