import DStreamCore

@main
struct DStreamCoreAlone {
    static func main() throws {
        let time = BatchTime(milliseconds: 1500)
        precondition(try time.floor(.seconds(1)) == .seconds(1))
        precondition(SystemStreamClock().now > time)
    }
}
