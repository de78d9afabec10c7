"""`python -m keras_dynamicgate` is the command `keras-dynamicgate`."""

import sys

from keras_dynamicgate.cli import main

sys.exit(main())
