"""The pack's things as ComfyUI's 3D types and back, a file for each: MESH, SPLAT, FILE_3D, LOAD3D_CAMERA."""
