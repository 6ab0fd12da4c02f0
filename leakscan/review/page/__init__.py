"""The page on which people decide about the pairs of a run: a server on this machine alone.

``deck`` makes cards of a run, one for every two people. ``queue`` puts them in order. ``originals`` finds the
pixels, ``pictures``, ``alignment`` and ``volumes`` make of them what the page shows, and ``shelf`` keeps it.
``judging`` takes verdicts, ``gold`` mixes in pairs with known answers, ``guard`` keeps strangers out, and
``server`` puts it all behind one address.
"""
