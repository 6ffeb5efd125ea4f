"""Streaming speech recognition of calls: audio in, words out. Imports no sibling. Start reading in listener.py.

Types:          events, errors; protocols: source (of calls), recogniser
Call sources:   recording; live: two devices (devices, portaudio, pulse) on one clock (alignment); resampling
Listening:      listener; activity (voice activity detection; tones), segmentation (utterances), local_agreement
                crosstalk; channels (silent ones); voice (measures of the customer's voice)
Scheduling:     decode_queue, scheduling; processes, worker, memory; backfill (speech without a recogniser)
Recognisers:    whisper (windows, hallucinations, steadiness), sphinx; normalisation; models, hub, calibration
Measuring:      scoring (word error rate, latency), measuring (load), nonspeech (hallucinations), line_sounds, shapes
"""
