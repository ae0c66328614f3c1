import BatchEngine

/// A key of the user's own, declared the short way.
struct Station: Codable, StreamKey {
    var line: String
    var number: Int
}

@main
struct BatchEngineAlone {
    static func main() {
        let key = Station(line: "U2", number: 7)
        precondition(key.stableHash == Station(line: "U2", number: 7).stableHash)
        precondition("a short string".stableHash != "another one".stableHash)
    }
}
