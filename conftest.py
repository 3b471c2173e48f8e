"""What every test run sets, also in the kernels of the notebooks that it starts.

One thread, because two beside a busy neighbour are far slower than one (a notebook that trains sets
its own number); no progress bars, because they would count as output; and nothing that a reader may
have set to play with.
"""

import os

for name in [name for name in os.environ if name.startswith("LMCOURSE_")]:
    del os.environ[name]
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["TQDM_DISABLE"] = "1"
os.environ["PYTHONHASHSEED"] = "0"
