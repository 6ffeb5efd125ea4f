"""`python -m tests.training.speaker_role`: writes detectors/meanings/speaker-role.json (pip install scikit-learn).

Taught are the turns of tests/data/words/upset and the lines of tests/data/words/taught, which name who says them.
"""

import json

from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression

from detectors.speaker_role import FILE, features
from tests.training.examples import training_files

FEATURES = 6_000
"""Those of the largest weight, of some 34,000, are kept and taught once more alone. Of the turns of `dev3`, `g` to `j`
6,000 told 83 in 100 apart, 3,000 81, 1,500 79 (before the parties were weighted alike)."""
MIN_LINES = 12
"""A feature is in so many lines at least."""
STRENGTH = 0.15
"""Inverse strength of the regularisation."""


def lines():
    """(text, whether it is the agent's)."""
    for folder in ("upset", "taught"):
        for path in training_files(folder):
            for line in path.read_text(encoding="utf-8").splitlines():
                who, _, rest = line.partition("|")
                if who in ("a", "c") and "|" in rest:
                    yield rest.split("|", 1)[1], who == "a"


def main():
    """Teach and write."""
    texts, is_agent = zip(*lines(), strict=True)
    vectorizer = CountVectorizer(analyzer=features, binary=True, min_df=MIN_LINES)
    counts = vectorizer.fit_transform(texts)
    all_features = vectorizer.get_feature_names_out()
    teach = LogisticRegression(C=STRENGTH, solver="liblinear", class_weight="balanced").fit
    largest = sorted(abs(teach(counts, is_agent).coef_[0]).argsort()[::-1][:FEATURES])
    taught = teach(counts[:, largest], is_agent)
    weights = {all_features[at]: round(float(weight), 2) for at, weight in zip(largest, taught.coef_[0], strict=True)}
    kept = {feature: weight for feature, weight in sorted(weights.items()) if weight}
    stored = {"bias": round(float(taught.intercept_[0]), 2), "weights": kept}
    FILE.write_text(json.dumps(stored, indent=0) + "\n", encoding="utf-8")
    print(f"{len(texts)} lines, {len(kept)} features, {FILE.stat().st_size // 1024} KiB")


if __name__ == "__main__":
    main()
