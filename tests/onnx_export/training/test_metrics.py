"""The file of metrics: rows, and what a resumed run does with them."""

from onnx_export.training.metrics import MetricsLog, metrics_path


def rows(path):
    return path.read_text().splitlines()


def test_one_row_a_metric(tmp_path):
    path = tmp_path / "runs" / "net.metrics.csv"
    with MetricsLog(path, 0) as metrics:
        metrics.write(50, "train", {"loss": 0.125, "cosine": 2 / 3})
        metrics.write(50, "valid", {"loss": 1e-7})
        # Written at once: a run can be watched.
        assert len(rows(path)) == 4
    assert rows(path) == [
        "step,split,name,value",
        "50,train,loss,0.125",
        "50,train,cosine,0.666667",
        "50,valid,loss,1e-07",
    ]


def test_a_resumed_run_replaces_the_steps_it_does_again(tmp_path):
    path = tmp_path / "net.metrics.csv"
    with MetricsLog(path, 0) as metrics:
        for step in (10, 20, 30):
            metrics.write(step, "train", {"loss": step})
    with MetricsLog(path, 20) as metrics:
        metrics.write(30, "train", {"loss": 7})
    assert rows(path)[1:] == ["10,train,loss,10", "20,train,loss,20", "30,train,loss,7"]


def test_a_new_run_begins_an_empty_file(tmp_path):
    path = tmp_path / "net.metrics.csv"
    for _ in range(2):
        with MetricsLog(path, 0) as metrics:
            metrics.write(1, "train", {"loss": 1})
    assert rows(path)[1:] == ["1,train,loss,1"]


def test_each_checkpoint_has_a_file_of_its_own(tmp_path):
    assert metrics_path(tmp_path / "denoiser-iq.pt") == tmp_path / "denoiser-iq.metrics.csv"
