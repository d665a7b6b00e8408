"""``python -m pipeline``."""

from pipeline.tools.environment import prepare

prepare()  # before anything imports Ray

from pipeline.cli.main import main  # noqa: E402

main()
