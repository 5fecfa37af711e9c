"""What the tools print, version by version: nvcc --version, the head of nvidia-smi."""

_NVCC = """\
nvcc: NVIDIA (R) Cuda compiler driver
Copyright (c) 2005-{year} NVIDIA Corporation
Built on {built}
Cuda compilation tools, release {release}, V{full}
Build cuda_{release}.r{release}/compiler.{build}_0
"""

NVCC = {
    release: _NVCC.format(release=release, full=full, build=build, built=built, year=built[-4:])
    for release, full, build, built in [
        ("11.8", "11.8.89", 31833905, "Wed_Sep_21_10:33:58_PDT_2022"),
        ("12.0", "12.0.140", 32267302, "Fri_Jan__6_16:45:21_PST_2023"),
        ("12.1", "12.1.105", 32688072, "Mon_Apr__3_17:16:06_PDT_2023"),
        ("12.2", "12.2.140", 33191640, "Tue_Aug_15_22:02:13_PDT_2023"),
        ("12.4", "12.4.131", 34097967, "Thu_Mar_28_02:18:24_PDT_2024"),
        ("12.6", "12.6.85", 35059454, "Tue_Oct_29_23:50:19_PDT_2024"),
        ("12.8", "12.8.93", 35583870, "Fri_Feb_21_20:23:50_PST_2025"),
        ("12.9", "12.9.86", 36037853, "Tue_May_27_02:21:03_PDT_2025"),
        ("13.0", "13.0.88", 36424714, "Wed_Aug_20_01:58:59_PM_PDT_2025"),
        # The form of 13.0 with the version of the AMI of September 2026; build and date are made up.
        ("13.2", "13.2.51", 37500000, "Mon_Feb_16_09:12:44_PM_PST_2026"),
    ]
}

_BOX_OLD = """\
Mon Jan 15 10:30:00 2026
+---------------------------------------------------------------------------------------+
| NVIDIA-SMI {driver:<24} Driver Version: {driver:<12} CUDA Version: {cuda:<9}|
|-----------------------------------------+----------------------+----------------------+
| GPU  Name                 Persistence-M | Bus-Id        Disp.A | Volatile Uncorr. ECC |
"""
_BOX = """\
Mon Jan 15 10:30:00 2026
+-----------------------------------------------------------------------------------------+
| NVIDIA-SMI {driver:<22} Driver Version: {driver:<14} CUDA Version: {cuda:<9}|
|-----------------------------------------+------------------------+----------------------+
| GPU  Name                 Persistence-M | Bus-Id          Disp.A | Volatile Uncorr. ECC |
"""
_BOX_SPLIT = """\
Mon Jan 15 10:30:00 2026
+-----------------------------------------------------------------------------------------+
| NVIDIA-SMI {driver:<18} KMD Version: {driver:<12} CUDA UMD Version: {cuda:<9}|
|-----------------------------------------+------------------------+----------------------+
"""

NVIDIA_SMI = {
    "11.8": _BOX_OLD.format(driver="520.61.05", cuda="11.8"),
    "12.2": _BOX_OLD.format(driver="535.183.01", cuda="12.2"),
    "12.4": _BOX.format(driver="550.127.05", cuda="12.4"),
    "12.8": _BOX.format(driver="570.86.15", cuda="12.8"),
    "13.0": _BOX.format(driver="580.95.05", cuda="13.0"),
    "13.1": _BOX_SPLIT.format(driver="590.44.01", cuda="13.1"),
    "13.2": _BOX_SPLIT.format(driver="595.91.07", cuda="13.2"),
    # A driver without its CUDA library.
    "N/A": _BOX.format(driver="570.86.15", cuda="N/A"),
}
