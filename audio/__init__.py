"""Sound in, words out. Imports no sibling. Start reading in listener.py.

A call's sound:   events, errors, source: what is said of it, and by whom it is brought
                  recording; live: two devices (devices, portaudio, pulse), put on one clock (alignment); resampling
Listening to it:  listener, turns, activity, tones, settling, crosstalk; channels, voice
Words of it:      recogniser: the protocol; scheduling, agenda: whose turn it is; processes, worker, memory; owed
                  whisper (windows, guards, steadiness), sphinx; models, hub, calibration
Measuring that:   scoring, measuring, nonspeech, line_sounds, shapes
"""
