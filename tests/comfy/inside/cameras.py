"""Our cameras as the host's and back again, and the cameras of its own nodes as ours."""

from __future__ import annotations

import json

import numpy as np
from pack import load_pack

load = load_pack()

cameras, compat = load("nodes.bridge.interop.cameras"), load("nodes.bridge.compat")
CameraConfig = load("tbsd_core.cameras.sampling").CameraConfig


def gap(a, b) -> float:
    turn = (a.azimuth - b.azimuth + 180) % 360 - 180
    return max(abs(turn), *(abs(getattr(a, k) - getattr(b, k)) for k in ("elevation", "distance", "fov_y")))


def refused(info) -> str:
    try:
        cameras.from_info(info, 36.0)
    except ValueError as error:
        return str(error)
    return ""


heights = (-90.0, -80.0, 0.0, 30.0, 90.0)
some = [cameras.Camera(a, e, 2.5, 40.0) for a in (-170.0, -35.0, 0.0, 100.0, 180.0) for e in heights]
front = cameras.to_info(cameras.Camera(0.0, 0.0, 3.0, 36.0))
high = cameras.Camera(60.0, 80.0, 2.0, 50.0)
many = CameraConfig(azimuth_min=-90.0, azimuth_max=90.0, distance_max=4.0, fov_y_max=70.0)
around = cameras.around(many, high)
report = {
    "back": max(gap(cameras.from_info(cameras.to_info(c), 1.0), c) for c in some),
    "position": front["position"],
    "panned": gap(
        cameras.from_info(
            {"position": {"x": 5, "y": 1, "z": 5}, "target": {"x": 5, "y": 1, "z": 2}, "zoom": 2}, 36.0
        ),
        cameras.Camera(0.0, 0.0, 3.0, 2 * np.degrees(np.arctan(np.tan(np.radians(18)) / 2))),
    ),
    "around": [around.azimuth_min, around.azimuth_max, around.elevation_min, around.elevation_max, around.distance],
    "middle": gap(cameras.middle(around), high),
    "one": [around.distance_max, around.fov_y_max],
    "refused": [
        refused(front | {"cameraType": "orthographic"}),
        refused(front | {"quaternion": {"x": 0, "y": 0, "z": 0.5, "w": 0.866}}),
        refused(front | {"target": front["position"]}),
        refused({"position": "near"}),
    ],
}
if compat.has("Types.SPLAT"):
    from comfy_extras.nodes_gaussian_splat import CreateCameraInfo

    orbit = {"mode": "orbit", "yaw": 70.0, "pitch": 25.0, "distance": 4.0}
    theirs = CreateCameraInfo.execute(orbit, 0.0, 0.0, 0.0, 0.0, 35.0).args[0]
    report["theirs"] = gap(cameras.from_info(theirs, 1.0), cameras.Camera(70.0, 25.0, 4.0, 35.0))
    ours = cameras.to_info(cameras.Camera(70.0, 25.0, 4.0, 35.0))
    a, b = (np.array([info["quaternion"][k] for k in "xyzw"]) for info in (theirs, ours))
    report["quaternion"] = float(min(np.abs(a - b).max(), np.abs(a + b).max()))
print(json.dumps(report))
