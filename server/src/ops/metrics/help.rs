//! What the network's counters mean, in a line each.

/// What is counted under this name; empty for one that is not known.
pub(super) fn of(counter: &str) -> &'static str {
    match counter {
        "connections" => "Connections that were begun",
        "connections_refused" => "Connections turned away since too many were being begun",
        "connections_rate_limited" => "Connections turned away since their address began too many",
        "connections_retried" => {
            "Connections asked to show first that they receive at their address"
        }
        "handshakes_failed" => "Connections that never came to a hello",
        "hellos_refused" => "Hellos refused, by the door or for what they are",
        "clients_joined" => "Players let in",
        "clients_left" => "Players that left by themselves",
        "clients_dropped" => "Players that were lost for good, or ended for what they did",
        "clients_away" => "Times that a player's connection was lost and its place kept",
        "clients_returned" => "Times that a client came back to its player",
        "clients_taken_over" => "Times that one came back while its old connection stood",
        "clients_kicked" => "Players that an operator kicked",
        "clients_flooded" => "Sessions ended for too many datagrams",
        "names_unbarred" => "Kicked clients whose names could not be barred",
        "spectators_joined" => "Clients let in to watch",
        "spectators_kicked" => "Spectators that an operator kicked",
        "datagrams_unsent" => "State datagrams that a connection did not take",
        "events_too_long" => "Events of scripts that were too long to send",
        "events_lost" => "Events lost since the network could not keep up",
        "states_held_back" => {
            "States not made for a client since earlier ones still waited for its path"
        }
        "states_superseded" => "Ticks whose state was not sent since a newer one was there",
        "datagrams_bad" => "Datagrams that make no sense",
        "datagrams_stray" => "Datagrams that came before or after their session",
        "datagrams_excess" => "Datagrams above what a client may send",
        "messages_bad" => "Messages on control streams that make no sense",
        "commands_consumed" => "Commands that reached their tick",
        "commands_late" => "Commands that came after their tick",
        "commands_duplicate" => {
            "Commands that had arrived before: each datagram repeats the last ones in case one is lost"
        }
        "commands_early" => "Commands for ticks too far ahead",
        "commands_foreign" => "Commands for a player of somebody else",
        "commands_not_finite" => "Commands with numbers that are none",
        "commands_of_spectators" => "Commands of those who only watch",
        "commands_view_cut" => "Commands of who saw the others further back than shots are taken",
        "ticks_without_command" => "Ticks for which a client had no command",
        _ => "",
    }
}
