//! The unprotected half of the story, against the built-in model.

use super::*;

#[tokio::test]
async fn without_protection_every_attack_lands_and_honest_people_are_served() {
    let args =
        Args { once: true, story: None, upstream: None, model: None, key_env: String::new() };
    let story = Arc::new(story::load(None).expect("sound"));
    let (cx, _) = bartizan_core::sim::cx(1);
    let model = start_model(&args, &story, &cx).await.expect("starts");
    let scenes = play::play(&story, &model.endpoint(), &model.count).await.expect("plays");
    for (step, scene) in story.steps.iter().zip(scenes) {
        match &step.harm {
            Some(_) => {
                assert!(scene.harm.is_some(), "{}: the attack did not land: {scene:?}", step.name)
            }
            None => assert_eq!(scene.missing, None, "{}", step.name),
        }
    }
}

#[tokio::test]
async fn the_model_serves_nobody_without_its_key() {
    let args =
        Args { once: true, story: None, upstream: None, model: None, key_env: String::new() };
    let story = Arc::new(story::load(None).expect("sound"));
    let (cx, _) = bartizan_core::sim::cx(2);
    let model = start_model(&args, &story, &cx).await.expect("starts");
    let stranger = Endpoint { key: "demo-guess".to_owned(), ..model.endpoint() };
    let app = App::new(&story, stranger).expect("made");
    let turns = ["When do you open?".to_owned()];
    let seen = app.converse(app::Talk { user: "x", turns: &turns, stream: false }).await;
    assert!(seen.failure.is_some_and(|failure| failure.contains("401")));
}
