"""Sound in, words out: call sources, voice activity, recognisers, acoustic measures. Imports no sibling."""
