"""Temperature scaling, on logits with a known temperature."""

import numpy as np
import pytest
from scipy import special

from tf_finetune.metrics import temperature_scaling


def _drawn(temperature: float, count: int = 20_000):
    """Returns logits, and labels drawn with them divided by a temperature."""
    generator = np.random.default_rng(0)
    logits = generator.normal(0, 3, [count, 3])
    probabilities = special.softmax(logits / temperature, axis=1)
    draws = generator.uniform(size=[count, 1])
    return logits, (np.cumsum(probabilities, axis=1) < draws).sum(axis=1)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_temperature_that_labels_were_drawn_with_is_found(temperature):
    found = temperature_scaling.fit_temperature(*_drawn(temperature))

    assert found.temperature == pytest.approx(temperature, rel=0.05)
    assert found.examples == 20_000


def test_a_network_too_sure_of_itself_becomes_honest():
    logits, labels = _drawn(3.0)

    found = temperature_scaling.fit_temperature(logits, labels)

    rows = np.arange(len(labels))
    losses = [
        -np.log(special.softmax(logits / each, axis=1)[rows, labels]).mean()
        for each in (1.0, found.temperature)
    ]
    # Guo et al. find it where the loss is lowest.
    assert found.log_loss == pytest.approx(losses, rel=1e-2)
    assert found.log_loss[1] < found.log_loss[0]
    before, after = found.expected_calibration_error
    assert after < 0.02 < 0.1 < before


def test_nothing_is_learned_where_everything_is_right():
    logits = np.array([[3.0, 0.0], [0.0, 1.0]])

    found = temperature_scaling.fit_temperature(logits, np.array([0, 1]))

    assert found.temperature == 1.0
    assert found.log_loss[0] == found.log_loss[1]


def test_a_network_that_knows_nothing_is_bounded():
    logits = np.array([[9.0, 0.0], [9.0, 0.0], [0.0, 9.0], [0.0, 9.0]])

    found = temperature_scaling.fit_temperature(logits, np.array([0, 1, 0, 1]))

    assert found.temperature == pytest.approx(20.0, rel=1e-2)


def test_the_sentence_holds_all_figures():
    found = temperature_scaling.Calibration(
        temperature=1.5,
        examples=7,
        log_loss=(0.5, 0.25),
        expected_calibration_error=(0.125, 0.0625),
    )
    assert found.format_line() == (
        "temperature 1.500 from 7 validation pictures: log loss 0.5000 → "
        "0.2500, expected calibration error 0.1250 → 0.0625"
    )
