/// Those who wait for the rate limit of a block generator, in the order of asking.
struct RateTurns: Sendable {
    private var waiting: [Int] = []
    private var last = 0
    /// Counts the changes of the limit.
    var version = 0
    /// Whether the limit counts no more.
    var isLifted = false

    /// Whether nobody waits.
    var isFree: Bool { waiting.isEmpty }

    /// Takes a place behind those who wait.
    mutating func enter() -> Int {
        last += 1
        waiting.append(last)
        return last
    }

    /// Gives a place up.
    mutating func leave(_ turn: Int) { waiting.removeAll { $0 == turn } }

    /// Whether it is the turn of a place.
    func isServing(_ turn: Int) -> Bool { isLifted || waiting.first == turn }
}
