"""What is served is what was evaluated."""

import base64
import json

import numpy as np

import tf_finetune


def test_the_server_answers_what_predict_says(run, pictures):
    from tf_finetune.config import serve
    from tf_finetune.serving import batching, model, rest, service, starting

    silent = {"report": lambda text: None}
    tf_finetune.export(run.workdir, **silent)
    config = serve.ServeConfig(workdir=str(run.workdir))
    folder = starting.served_version(config)
    served = service.Service(
        model.ServedModel(folder, name="colours"),
        batching.Limits(
            max_batch_size=4,
            max_delay_seconds=0.0,
            max_queued_rows=64,
            max_batch_weight=config.max_pixels,
        ),
        max_pixels=config.max_pixels,
        max_answer_bytes=config.max_answer_megabytes << 20,
    )
    paths = sorted((pictures / "red").glob("*.png"))[:6]
    encoded = [base64.b64encode(path.read_bytes()).decode() for path in paths]
    body = json.dumps({"instances": [{"b64": each} for each in encoded]})
    answer = rest.Api(served).answer(
        "POST", "/v1/models/colours:predict", body.encode()
    )
    served.close()

    rows = json.loads(answer.body)["predictions"]
    expected = tf_finetune.predict(run.workdir, pictures / "red", **silent)
    by_path = {each.path: each for each in expected}
    for path, row in zip(paths, rows, strict=True):
        said = dict(by_path[str(path)].top_k)
        names = served.model.labels
        shares = [said[name] for name in names]
        np.testing.assert_allclose(row["probabilities"], shares, atol=1e-5)
        assert row["classes"] == "red"
