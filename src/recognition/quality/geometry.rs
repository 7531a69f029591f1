//! Pose, size, margins, eyes and mouth, from the mesh.

use super::{Quality, sigmoid};
use crate::recognition::landmarks::Mesh;
use crate::recognition::picture::Picture;

// Points of the mesh; right and left are the person's own.
const RIGHT_EYE: [usize; 2] = [33, 133];
const LEFT_EYE: [usize; 2] = [362, 263];
const FOREHEAD: usize = 10;
const CHIN: usize = 152;
/// Upper and lower lid, three pairs an eye.
const RIGHT_LIDS: [(usize, usize); 3] = [(159, 145), (158, 153), (160, 144)];
const LEFT_LIDS: [(usize, usize); 3] = [(386, 374), (385, 380), (387, 373)];
/// Inner edges of the lips.
const LIPS: [(usize, usize); 3] = [(13, 14), (82, 87), (312, 317)];

type Vector = [f32; 3];

/// Every component that hangs on the mesh; the others are 0.
pub fn measure(picture: &Picture, mesh: &Mesh) -> Quality {
    let point = |index: usize| mesh.point(index);
    let right_eye = middle(RIGHT_EYE.map(point));
    let left_eye = middle(LEFT_EYE.map(point));
    let eyes = middle([right_eye, left_eye]);
    // OFIQ's unit of length for what turns sideways: eyes to chin.
    let height = flat(difference(point(CHIN), eyes)).max(f32::MIN_POSITIVE);
    let distance = flat(difference(left_eye, right_eye)).max(f32::MIN_POSITIVE);
    let [yaw, pitch, roll] = pose(mesh);
    let opening = |pairs: [(usize, usize); 3]| {
        (pairs.iter())
            .map(|&(a, b)| flat(difference(point(a), point(b))))
            .fold(0.0, f32::max)
            / height
    };
    let eye = opening(RIGHT_LIDS).min(opening(LEFT_LIDS));
    let mouth = opening(LIPS);
    let (width, tall) = (picture.width as f32, picture.height as f32);
    let facing = |angle: f32| 100.0 * angle.cos().max(0.0).powi(2);
    let room = |pixels: f32, unit: f32, needed: f32| 100.0 * sigmoid(pixels / unit, needed, 0.1);
    Quality {
        eyes_open: 100.0 * sigmoid(eye, 0.02, 0.01),
        mouth_closed: 100.0 * (1.0 - sigmoid(mouth, 0.2, 0.06)),
        // A head that is turned away shows its eyes closer together than they are.
        inter_eye_distance: 100.0 * sigmoid(distance / yaw.cos().max(0.1), 70.0, 20.0),
        head_size: 200.0 * (1.0 - sigmoid((height / tall - 0.45).abs(), 0.0, 0.05)),
        leftward_crop: room(right_eye[0].min(left_eye[0]), distance, 0.9),
        rightward_crop: room(width - right_eye[0].max(left_eye[0]), distance, 0.9),
        margin_above: room(eyes[1], height, 1.4),
        margin_below: room(tall - eyes[1], height, 1.8),
        head_pose_yaw: facing(yaw),
        head_pose_pitch: facing(pitch),
        head_pose_roll: facing(roll),
        ..Quality::all(0.0)
    }
}

/// Yaw, pitch and roll in radians, 0 for a head that looks into the camera, upright.
///
/// The mesh's depth is in pixels, like x and y, and as the network guesses it.
fn pose(mesh: &Mesh) -> [f32; 3] {
    let across = difference(mesh.point(LEFT_EYE[1]), mesh.point(RIGHT_EYE[0]));
    let down = difference(mesh.point(CHIN), mesh.point(FOREHEAD));
    let yaw = across[2].atan2(flat(across));
    let pitch = down[2].atan2(flat(down));
    let roll = across[1].atan2(across[0]);
    [yaw, pitch, roll]
}

fn difference(a: Vector, b: Vector) -> Vector {
    [a[0] - b[0], a[1] - b[1], a[2] - b[2]]
}

/// Length in the plane of the picture.
fn flat(v: Vector) -> f32 {
    v[0].hypot(v[1])
}

fn middle([a, b]: [Vector; 2]) -> Vector {
    [0, 1, 2].map(|i| (a[i] + b[i]) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A head of 200 pixels in the middle of a 640x640 picture, turned by yaw, pitch and roll in
    /// degrees, with its lids and lips `open` and `gaping` pixels apart.
    fn head(turn: [f32; 3], scale: f32, open: f32, gaping: f32) -> Mesh {
        let mut points = vec![[0.0; 3]; 468];
        let mut set = |index: usize, x: f32, y: f32| points[index] = [x, y, 0.0];
        set(33, -45.0, -30.0);
        set(133, -17.0, -30.0);
        set(362, 17.0, -30.0);
        set(263, 45.0, -30.0);
        set(FOREHEAD, 0.0, -90.0);
        set(CHIN, 0.0, 90.0);
        for (x, pairs) in [(-31.0, RIGHT_LIDS), (31.0, LEFT_LIDS)] {
            for (upper, lower) in pairs {
                set(upper, x, -30.0 - open / 2.0);
                set(lower, x, -30.0 + open / 2.0);
            }
        }
        for (upper, lower) in LIPS {
            set(upper, 0.0, 50.0 - gaping / 2.0);
            set(lower, 0.0, 50.0 + gaping / 2.0);
        }
        let [yaw, pitch, roll] = turn.map(f32::to_radians);
        let rotated = (points.into_iter()).map(|[x, y, z]| {
            let (y, z) = (
                y * pitch.cos() - z * pitch.sin(),
                y * pitch.sin() + z * pitch.cos(),
            );
            let (x, z) = (x * yaw.cos() - z * yaw.sin(), x * yaw.sin() + z * yaw.cos());
            let (x, y) = (
                x * roll.cos() - y * roll.sin(),
                x * roll.sin() + y * roll.cos(),
            );
            [320.0 + x * scale, 320.0 + y * scale, z * scale]
        });
        Mesh(rotated.collect())
    }

    fn picture(width: u32, height: u32) -> Picture {
        Picture {
            width,
            height,
            rgb: Vec::new(),
        }
    }

    fn frontal() -> Quality {
        measure(&picture(640, 640), &head([0.0; 3], 1.0, 9.0, 2.0))
    }

    #[test]
    fn a_head_that_looks_into_the_camera_is_good_at_everything() {
        let q = frontal();
        for value in [
            q.head_pose_yaw,
            q.head_pose_pitch,
            q.head_pose_roll,
            q.eyes_open,
            q.mouth_closed,
            q.leftward_crop,
            q.rightward_crop,
            q.margin_above,
            q.margin_below,
        ] {
            assert!(value > 90.0, "{q:?}");
        }
    }

    #[test]
    fn each_angle_costs_its_own_component() {
        for degrees in [-40.0f32, 20.0, 60.0] {
            let expected = 100.0 * degrees.to_radians().cos().powi(2);
            for axis in 0..3 {
                let mut turn = [0.0; 3];
                turn[axis] = degrees;
                let q = measure(&picture(640, 640), &head(turn, 1.0, 9.0, 2.0));
                let pose = [q.head_pose_yaw, q.head_pose_pitch, q.head_pose_roll];
                for (i, value) in pose.into_iter().enumerate() {
                    let expected = if i == axis { expected } else { 100.0 };
                    assert!((value - expected).abs() < 1.0, "{turn:?}: {pose:?}");
                }
            }
        }
    }

    #[test]
    fn closed_eyes_and_an_open_mouth_are_seen() {
        let blink = measure(&picture(640, 640), &head([0.0; 3], 1.0, 0.5, 2.0));
        let yawn = measure(&picture(640, 640), &head([0.0; 3], 1.0, 9.0, 50.0));
        assert!(
            blink.eyes_open < 25.0 && blink.mouth_closed > 90.0,
            "{blink:?}"
        );
        assert!(
            yawn.mouth_closed < 10.0 && yawn.eyes_open > 90.0,
            "{yawn:?}"
        );
    }

    #[test]
    fn a_small_face_has_few_pixels_between_its_eyes() {
        let small = measure(&picture(640, 640), &head([0.0; 3], 0.2, 9.0, 2.0));
        assert!(small.inter_eye_distance < 8.0 && frontal().inter_eye_distance > 40.0);
        assert!(small.head_size < frontal().head_size);
        // A turn of the head does not make it smaller.
        let turned = measure(&picture(640, 640), &head([50.0, 0.0, 0.0], 1.0, 9.0, 2.0));
        assert!((turned.inter_eye_distance - frontal().inter_eye_distance).abs() < 2.0);
    }

    #[test]
    fn a_face_at_the_edge_has_no_room_there() {
        let mut mesh = head([0.0; 3], 1.0, 9.0, 2.0);
        for point in &mut mesh.0 {
            point[0] -= 280.0;
        }
        let q = measure(&picture(640, 640), &mesh);
        assert!(q.leftward_crop < 5.0 && q.rightward_crop > 90.0, "{q:?}");
        let low = measure(&picture(640, 380), &head([0.0; 3], 1.0, 9.0, 2.0));
        assert!(low.margin_below < 5.0 && low.margin_above > 90.0, "{low:?}");
    }

    #[test]
    fn points_in_one_place_are_no_good_face_and_no_harm() {
        let q = measure(&picture(64, 64), &Mesh(vec![[5.0; 3]; 468]));
        assert!(q.inter_eye_distance < 5.0, "{q:?}");
    }
}
