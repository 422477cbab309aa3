"""placeholder until the drawing branch lands"""
import numpy as np


def digits():
    from PIL import Image
    from sklearn.datasets import load_digits
    d = load_digits()
    im = np.zeros((len(d.images),28,28),np.uint8)
    for i,x in enumerate(d.images):
        im[i,4:24,4:24]=np.asarray(Image.fromarray((x*255/16).astype(np.uint8)).resize((20,20),Image.BICUBIC))
    return im, d.target.astype(np.int64)
