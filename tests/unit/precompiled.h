// As grl/precompiled.h, for the unit tests.
#include <gtest/gtest.h>

#include "grl/precompiled.h"
