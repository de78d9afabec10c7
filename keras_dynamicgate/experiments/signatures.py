"""Signs of conditional computation: does a model really decide by the input, and how firmly?

All functions take arrays, so they serve gates and experts alike: `choices` has a column for each
gate or expert and a row for each sample, with 1 where it ran.
"""

import numpy as np

from keras_dynamicgate.gating.use import GateUse


def difficulty_correlation(confidence: np.ndarray, open_ratio: np.ndarray) -> float:
    """Correlate the difficulty of samples, 1 - confidence, with how much ran for them.

    Args:
        confidence: Array of shape `(samples,)`, the probability of the predicted class.
        open_ratio: Array of shape `(samples,)`, the share of the gates that were open.

    Returns:
        Pearson's correlation from -1 to 1; 0 if one of the two does not vary.

    Examples:
        >>> difficulty_correlation(np.array([0.9, 0.6]), np.array([0.25, 0.5]))
        1.0
    """
    difficulty = 1.0 - np.asarray(confidence, "float64")
    open_ratio = np.asarray(open_ratio, "float64")
    if np.ptp(difficulty) == 0.0 or np.ptp(open_ratio) == 0.0:
        return 0.0
    return float(np.clip(np.corrcoef(difficulty, open_ratio)[0, 1], -1.0, 1.0).round(12))


def mutual_information(choices: np.ndarray, labels: np.ndarray) -> float:
    """Measure how much a gate or expert tells about the label, in bits, on average.

    Args:
        choices: Array of shape `(samples, gates)` of zeros and ones.
        labels: Integer array of shape `(samples,)`.

    Returns:
        Mean over the gates of the mutual information of the gate and the label.

    Examples:
        >>> mutual_information(np.array([[1], [1], [0], [0]]), np.array([0, 0, 1, 1]))
        1.0
    """
    use = GateUse(choices.shape[-1])
    use.add(choices, np.asarray(labels))
    return use.bits


def usage_entropy(choices: np.ndarray) -> float:
    """Measure how evenly gates or experts are used: 1 if all alike, 0 if only one is used.

    Args:
        choices: Array of shape `(samples, gates)` of zeros and ones.

    Returns:
        Entropy of the distribution of use over the gates, divided by the largest possible.

    Examples:
        >>> usage_entropy(np.array([[1, 0], [0, 1]]))
        1.0
    """
    use = np.mean(choices, axis=0, dtype="float64")
    if len(use) < 2 or use.sum() == 0.0:
        return 0.0
    share = use[use > 0] / use.sum()
    return float(-(share * np.log(share)).sum() / np.log(len(use)) + 0.0)


def usage_variation(choices: np.ndarray) -> float:
    """Return the coefficient of variation of the use of gates or experts: 0 if all are used alike.

    Args:
        choices: Array of shape `(samples, gates)` of zeros and ones.

    Returns:
        Standard deviation over mean.

    Examples:
        >>> usage_variation(np.array([[1, 0], [1, 0]]))
        1.0
    """
    use = np.mean(choices, axis=0, dtype="float64")
    return float(use.std() / use.mean()) if use.any() else 0.0


def varying(choices: np.ndarray) -> float:
    """Return the share of gates or experts that are used for 5 to 95 % of the samples.

    Args:
        choices: Array of shape `(samples, gates)` of zeros and ones.

    Returns:
        Share from 0, where the gates could as well be static, to 1.

    Examples:
        >>> varying(np.array([[1, 0], [1, 1]]))
        0.5
    """
    use = GateUse(choices.shape[-1])
    use.add(choices)
    return use.varying


def flip_rate(choices: np.ndarray, choices_again: np.ndarray) -> float:
    """Return the share of decisions that differ between two noisy copies of the same inputs.

    Args:
        choices: Array of shape `(samples, gates)` of zeros and ones, for one copy.
        choices_again: The same for the other copy.

    Returns:
        Share from 0, where nothing changes, to 1.

    Examples:
        >>> flip_rate(np.array([[1, 0, 1, 0]]), np.array([[1, 0, 1, 1]]))
        0.25
    """
    return float(np.mean(np.asarray(choices) != np.asarray(choices_again)))
