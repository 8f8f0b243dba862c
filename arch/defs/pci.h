/* PCI's configuration ports. Facts only.
 * Source: PCI Local Bus Specification 3.0, "Software Generation of Configuration Transactions". */
#ifndef ARCH_DEFS_PCI_H
#define ARCH_DEFS_PCI_H

#define PCI_CONFIG_ADDRESS 0xcf8u
#define PCI_CONFIG_DATA    0xcfcu
#define PCI_CONFIG_END     0xd00u

#endif
