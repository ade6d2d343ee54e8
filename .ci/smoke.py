"""What must work where only torch and the package are installed: the layer, its gradient, a clear message."""

import subprocess
import sys
from importlib.metadata import version

import torch

import lphm

structure = lphm.LPHM(n=12, p=3, q=2, r=1)
layer = lphm.BilinearInterdependence(structure, normalize="softmax")
x = torch.randn(4, 12, 5)
layer(x).square().sum().backward()
assert layer(x).shape == x.shape
assert layer.weight.grad.isfinite().all()
W = structure.to_dense(layer.weight.double())[0]
xi = lphm.interdependence_matrix(structure, layer.weight[0].double(), x.double())
assert torch.allclose(xi, x.double().mT @ W @ x.double())
assert version("lphm") == lphm.__version__

done = subprocess.run([sys.executable, "-m", "lphm", "train"], capture_output=True, text=True, check=False)
assert done.returncode == 2, done
assert "pip install 'lphm[train]'" in done.stderr, done
assert "Traceback" not in done.stderr, done
print("lphm", lphm.__version__, "works with torch", torch.__version__, "alone")
