"""Training of the sentence model in detectors/meanings: two networks, `words` and `caller`, and their thresholds.

Needs PyTorch and onnx. Both networks are fine-tuned from what is shipped; an epoch of new examples and a sample of the
older ones takes some 20 minutes on two cores, seconds on a GPU. OUT is a folder for the weights (OUT/words.pt,
OUT/caller.pt; where one is there, training goes on from it); TEXT the folder with the airline tweets and Bitext (see
tests/calm_talk.py); NEW files of tests/data/words that the network has not been trained on yet (`upset-13`).

    python -m tests.training.train_words OUT TEXT NEW…     trains the network that scores what is said
    python -m tests.training.fit_thresholds OUT TEXT       sets its thresholds
    python -m tests.training.export OUT                    writes detectors/meanings/model.onnx
    python -m tests.training.train_caller OUT TEXT NEW…    trains the network that scores how the caller is
    python -m tests.training.fit_thresholds OUT TEXT caller
    python -m tests.training.export OUT caller             writes detectors/meanings/caller.onnx

Instead of the first of each: `distil` trains on NEW alone and keeps all other scores as they were; `train_head` trains
the output of one label, whose meaning has changed. Instead of new thresholds for `words`: `calibrate` shifts its scores
to those that are shipped.
"""
