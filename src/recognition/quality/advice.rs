//! What the person before the camera can do about a component that is too low.

/// A clause; empty for a name that is no component's.
pub(super) fn advice(component: &str) -> &'static str {
    match component {
        "unified_quality_score" => "face the camera from nearer, in even light",
        "sharpness" => "hold still, come nearer, or clean the lens",
        "luminance_mean" => "neither too little nor too much light on the face",
        "luminance_variance" => "light from the front, no haze on the lens",
        "under_exposure_prevention" => "more light on the face, less behind it",
        "over_exposure_prevention" => "less light on the face",
        "dynamic_range" => "more light, and no fog on the lens",
        "illumination_uniformity" => "light from the front, not from one side",
        "eyes_open" => "open the eyes",
        "mouth_closed" => "close the mouth",
        "inter_eye_distance" => "come nearer, or send a larger picture",
        "head_size" => "the face from chin to eyes should fill some 45 % of the height",
        "leftward_crop" => "leave more room to the left of the face",
        "rightward_crop" => "leave more room to the right of the face",
        "margin_above" => "leave more room above the face",
        "margin_below" => "leave more room below the face",
        "head_pose_yaw" => "turn to the camera",
        "head_pose_pitch" => "look neither up nor down",
        "head_pose_roll" => "hold the head upright",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::super::COMPONENTS;
    use super::*;

    #[test]
    fn every_component_has_its_own() {
        let mut all: Vec<&str> = COMPONENTS.iter().map(|name| advice(name)).collect();
        assert!(all.iter().all(|advice| !advice.is_empty()));
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), COMPONENTS.len());
    }
}
