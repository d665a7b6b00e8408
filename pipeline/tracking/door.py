"""What a sweep writes to MLflow: one parent run, one child run per trial, tables, plots, models.

The only file that imports mlflow. Everything goes through ``MlflowClient`` with explicit run ids:
no global active run, so a sweep that was cut and started again continues the same runs.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import torch
from mlflow import MlflowClient
from mlflow.entities import LoggedModelOutput, LoggedModelStatus, Metric, Param, ViewType
from mlflow.exceptions import MlflowException
from mlflow.models import Model, infer_signature

from envs.errors import ConfigError
from pipeline.runs.status import FAILURES, Status
from pipeline.tools.files import write_json
from pipeline.tracking.content import digest_of, flattened
from pipeline.tracking.store import artifact_location, ask_server, page, quiet, tracking_uri

EXPERIMENT = "deepstock"
RUN_FILE = "mlflow_run.json"
"""File in the sweep folder that names the sweep's parent run."""

_TRIAL_TAG = "deepstock.trial"
_DIGEST_TAG = "deepstock.digest"
_CAUSE_TAG = "deepstock.cause"
_STATUS_TAG = "deepstock.status"
# Limits of MLflow's log_batch and of a value's length.
_MAX_METRICS, _MAX_PARAMS, _MAX_VALUE = 1000, 100, 5000


def experiment_id(uri: str | None = None) -> str:
    """Id of the experiment "deepstock" at ``uri``; makes it (and a SQLite store) if missing.

    Raises:
        ConfigError: The store cannot be reached or opened.
    """
    return _open_store(uri or tracking_uri())[1]


class SweepRun:
    """The parent run of one sweep, as a context manager.

    Entering it again with the same folder continues the same run. Leaving it ends the run as
    FINISHED, FAILED (an exception) or KILLED (Ctrl-C), and ends children left open by a crash.

    Args:
        folder: The sweep's folder; the run's id is kept there.
        name: The run's name. Default: the folder's name.
        uri: MLflow store. Default: :func:`tracking_uri`.

    Raises:
        ConfigError: On entering, if the store cannot be reached or opened.
    """

    def __init__(self, folder: Path, *, name: str | None = None, uri: str | None = None) -> None:
        self.folder = folder
        self.name = name or folder.resolve().name
        self.uri = uri or tracking_uri()
        self.run_id = ""
        self.experiment_id = ""

    def __enter__(self) -> SweepRun:
        self._client, self.experiment_id = _open_store(self.uri)
        self.run_id = self._resume() or self._create()
        self._trials = {
            run.data.tags[_TRIAL_TAG]: (run.info.run_id, run.data.tags.get(_DIGEST_TAG))
            for run in self._children()
            if _TRIAL_TAG in run.data.tags
        }
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for run in self._children("attributes.status = 'RUNNING'"):
            self._client.set_terminated(run.info.run_id, "KILLED")
        status = "FINISHED"
        if error is not None:
            status = "FAILED" if isinstance(error, Exception) else "KILLED"
        self._client.set_terminated(self.run_id, status)

    @property
    def page(self) -> str:
        """The run's page, to append to the address of an MLflow server."""
        return f"{page(self.experiment_id)}/{self.run_id}"

    # -- the sweep itself ------------------------------------------------------------------------

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Log the resolved configuration, nested keys joined by dots; log few.

        Raises:
            ConfigError: A parameter has another value than when this sweep started.
        """
        known = self._client.get_run(self.run_id).data.params
        new = {}
        for key, value in flattened(params):
            text = str(value)[:_MAX_VALUE]
            if known.get(key, text) != text:
                raise ConfigError(
                    f"parameter {key}",
                    text,
                    "Use a new folder for a sweep with other settings.",
                    problem=f"was {known[key]} when the sweep in {self.folder} started",
                )
            if key not in known:
                new[key] = text
        self._batch(self.run_id, params=new)

    def log_metrics(self, metrics: Mapping[str, float]) -> None:
        """Log figures of the whole sweep, such as the best cost; known values are not repeated."""
        known = self._client.get_run(self.run_id).data.metrics
        new = {key: value for key, value in metrics.items() if known.get(key) != value}
        self._batch(self.run_id, metrics={key: [(0, value)] for key, value in new.items()})

    def log_table(self, table: pd.DataFrame, name: str) -> None:
        """Log a table (``name`` ends in .json) that MLflow shows and ``load_table`` reads.

        ``MlflowClient.log_table`` would append to a table logged before; this replaces it.
        """
        self._client.log_text(self.run_id, table.to_json(orient="split", index=False), name)
        tags = self._client.get_run(self.run_id).data.tags
        shown = json.loads(tags.get("mlflow.loggedArtifacts", "[]"))
        if {"path": name, "type": "table"} not in shown:
            shown.append({"path": name, "type": "table"})
            self._client.set_tag(self.run_id, "mlflow.loggedArtifacts", json.dumps(shown))

    def log_text(self, text: str, name: str) -> None:
        """Log a text file, such as the configuration as YAML."""
        self._client.log_text(self.run_id, text, name)

    def log_artifact(self, path: Path, folder: str | None = None) -> None:
        """Log a file (csv, md, html, png), into an artifact folder if one is given."""
        self._client.log_artifact(self.run_id, str(path), folder)

    def log_model(self, name: str, policy: torch.nn.Module, input_example: np.ndarray) -> str:
        """Log a policy that ``mlflow.pyfunc.load_model(uri).predict(x)`` turns into orders.

        The module is traced and saved as a graph ("pt2"), so loading it executes no pickle and
        needs no code of this project, only torch; it takes any number of rows. The same weights
        logged again under the same name change nothing, others replace the model.

        Args:
            name: Such as "ddpg-both".
            policy: Module on the CPU, float32 inputs ``[N, F]`` to orders ``[N]`` or ``[N, 1]``.
            input_example: Inputs ``[n, F]``, float32, a few rows.

        Returns:
            The model's URI.
        """
        example = np.ascontiguousarray(input_example, dtype=np.float32)
        if len(example) == 1:  # torch.export would take a batch of one for a constant
            example = np.repeat(example, 2, axis=0)
        policy = policy.eval()
        with torch.no_grad():
            orders = policy(torch.from_numpy(example)).numpy()
        digest = digest_of([repr(policy), {k: v.tolist() for k, v in policy.state_dict().items()}])
        replaced = self._client.search_logged_models(
            experiment_ids=[self.experiment_id],
            filter_string=f"source_run_id = '{self.run_id}' AND name = '{name}'",
        )
        for old in replaced:
            if old.tags.get(_DIGEST_TAG) == digest:
                return str(old.model_uri)
        model = self._client.create_logged_model(
            self.experiment_id, name, self.run_id, tags={_DIGEST_TAG: digest}
        )
        with tempfile.TemporaryDirectory() as folder, quiet():
            mlflow.pytorch.save_model(
                policy,
                f"{folder}/model",
                mlflow_model=Model(
                    artifact_path=model.artifact_location,
                    run_id=self.run_id,
                    model_id=model.model_id,
                ),
                signature=infer_signature(example, orders),
                input_example=example,
                # Named, so that MLflow does not load the model once more to find them out.
                pip_requirements=[
                    f"torch=={torch.__version__.partition('+')[0]}",
                    f"numpy=={np.__version__}",
                ],
                serialization_format="pt2",
            )
            self._client.log_model_artifacts(model.model_id, f"{folder}/model")
        self._client.finalize_logged_model(model.model_id, LoggedModelStatus.READY)
        self._client.log_outputs(self.run_id, [LoggedModelOutput(model.model_id, step=0)])
        for old in replaced:
            self._client.delete_logged_model(old.model_id)
        return str(model.model_uri)

    # -- its trials ------------------------------------------------------------------------------

    def log_trial(
        self,
        key: str,
        params: Mapping[str, Any],
        history: Mapping[str, Sequence[tuple[int, float]]],
        final: Mapping[str, float],
        status: Status,
        cause: str | None = None,
    ) -> str:
        """Log an ended trial as one child run; the same trial logged again changes nothing.

        A trial that ran again with another outcome (it had failed, say) replaces its run.

        Args:
            key: Method and configuration, such as "ddpg-both/03"; also the run's name.
            params: The configuration; nested keys are joined by dots.
            history: Metric name to (iteration, value) pairs. Few metrics that mean something.
            final: The last word on each metric, such as the validation cost.
            status: How the trial ended; MLflow knows failures as FAILED, all else as FINISHED.
            cause: Why it failed or was stopped.

        Returns:
            The child run's id.
        """
        digest = digest_of([dict(flattened(params)), history, final, status, cause])
        run_id, logged = self._trials.get(key, (None, None))
        if run_id is not None:
            if logged == digest:
                return str(run_id)
            self._client.delete_run(run_id)
        tags = {
            "mlflow.parentRunId": self.run_id,
            _TRIAL_TAG: key,
            _STATUS_TAG: status,
            **({_CAUSE_TAG: cause[:_MAX_VALUE]} if cause else {}),
        }
        run = self._client.create_run(self.experiment_id, tags=tags, run_name=key)
        run_id = str(run.info.run_id)
        last = max((step for points in history.values() for step, _ in points), default=0)
        points = {name: list(values) for name, values in history.items()}
        for name, value in final.items():
            if not points.get(name) or points[name][-1] != (last, value):
                points.setdefault(name, []).append((last, value))
        self._batch(run_id, metrics=points, params={k: str(v) for k, v in flattened(params)})
        # The digest comes last: a run without it was cut while being logged, and is replaced.
        self._client.set_tag(run_id, _DIGEST_TAG, digest)
        self._client.set_terminated(run_id, "FAILED" if status in FAILURES else "FINISHED")
        self._trials[key] = (run_id, digest)
        return run_id

    # -- inside ----------------------------------------------------------------------------------

    def _resume(self) -> str | None:
        """Id of this folder's run, made RUNNING again, or None if there is none in this store."""
        try:
            run_id = json.loads((self.folder / RUN_FILE).read_text())["run_id"]
            run = self._client.get_run(run_id)
        except (OSError, ValueError, KeyError):  # a new folder
            return None
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":  # another store than then
                return None
            raise
        if run.info.lifecycle_stage != "active":
            return None
        self._client.update_run(run.info.run_id, status="RUNNING")
        return str(run.info.run_id)

    def _create(self) -> str:
        run = self._client.create_run(self.experiment_id, run_name=self.name)
        run_id = str(run.info.run_id)
        write_json(self.folder / RUN_FILE, {"run_id": run_id, "tracking_uri": self.uri})
        return run_id

    def _children(self, condition: str = "") -> Iterator[Any]:
        mine = f"tags.`mlflow.parentRunId` = '{self.run_id}'"
        token = None
        while True:
            found = self._client.search_runs(
                [self.experiment_id],
                filter_string=f"{mine} and {condition}" if condition else mine,
                run_view_type=ViewType.ACTIVE_ONLY,
                page_token=token,
            )
            yield from found
            token = found.token
            if not token:
                return

    def _batch(
        self,
        run_id: str,
        *,
        metrics: Mapping[str, Sequence[tuple[int, float]]] | None = None,
        params: Mapping[str, str] | None = None,
    ) -> None:
        now = int(time.time() * 1000)
        entities = [
            Metric(name, float(value), now, step)
            for name, points in (metrics or {}).items()
            for step, value in points
        ]
        settings = [Param(key, value[:_MAX_VALUE]) for key, value in (params or {}).items()]
        while entities or settings:
            self._client.log_batch(run_id, entities[:_MAX_METRICS], settings[:_MAX_PARAMS])
            del entities[:_MAX_METRICS], settings[:_MAX_PARAMS]


def _open_store(uri: str) -> tuple[MlflowClient, str]:
    """A client, and the id of the experiment, made if missing."""
    ask_server(uri)
    try:
        with quiet():
            client = MlflowClient(uri)
            experiment = client.get_experiment_by_name(EXPERIMENT)
            if experiment is None:
                tags = {"mlflow.experimentKind": "custom_model_development"}
                return client, client.create_experiment(EXPERIMENT, artifact_location(uri), tags)
            if experiment.lifecycle_stage == "deleted":
                client.restore_experiment(experiment.experiment_id)
            return client, str(experiment.experiment_id)
    except MlflowException as error:
        raise ConfigError(
            "MLFLOW_TRACKING_URI",
            uri,
            "Unset it for the default, or name a server (http://host:port) or a database "
            "(sqlite:////absolute/path/mlflow.db).",
            problem=f"cannot be used ({str(error).strip().splitlines()[0][:300]})",
        ) from error
