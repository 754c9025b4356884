"""Which part of a classifier on pretrained features gains: direction, being fixed, the identity start, or the prior?"""
