import DStreamCore

@main
struct DStreamCoreAlone {
    static func main() throws {
        let time = BatchTime(milliseconds: 1500)
        let start = try time.floor(.seconds(1))
        precondition(start == .seconds(1))
        precondition(SystemStreamClock().now > time)
    }
}
