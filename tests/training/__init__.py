"""Makes detectors/meanings: the sentence model that judges what words mean.

Needs PyTorch and onnx. Both networks go on from what is shipped; a pass over what is new and a part of the rest takes
some 20 minutes on two cores, seconds on a GPU. TEXT is the folder with the airline tweets and Bitext (see
tests/calm_talk.py), OUT a folder for what is made, NEW files of tests/data/words that are not known yet (`upset-13`).

    python -m tests.training.train_words OUT TEXT NEW…     teaches the network that hears what is said
    python -m tests.training.fit_thresholds OUT TEXT            sets its thresholds
    python -m tests.training.export OUT              writes it
    python -m tests.training.train_caller OUT TEXT NEW…    teaches the one that hears how a caller is
    python -m tests.training.fit_thresholds OUT TEXT caller     sets its thresholds
    python -m tests.training.export OUT caller       writes it
"""
