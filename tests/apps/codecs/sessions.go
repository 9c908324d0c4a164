// Random sessions as Go's gob writes them for alexedwards/scs: go run sessions.go SEED COUNT
// A line is the data in base64, and the user in base64, or "-" for nobody.
package main

import (
	"bytes"
	"encoding/base64"
	"encoding/gob"
	"fmt"
	"math"
	"math/rand"
	"os"
	"strconv"
	"time"
)

type Address struct {
	Street string
	Number int
	Tags   []string
	Next   *Address
}

type Basket struct {
	Items map[string]float64
	At    time.Time
	Grid  [2][3]int8
	Flags []bool
}

func pick(of ...interface{}) interface{} { return of[rand.Intn(len(of))] }

func text() string {
	text := ""
	for i := rand.Intn(6); i > 0; i-- {
		text += pick("a", "userID", "\x00", "é", "\xff", "|").(string)
	}
	return text
}

const basic, every = 13, 20

func value(most int) interface{} {
	switch rand.Intn(most) {
	case 0:
		return rand.Intn(2) == 0
	case 1:
		return rand.Int() - math.MaxInt/2
	case 2:
		return int8(rand.Int())
	case 3:
		return int64(math.MinInt64)
	case 4:
		return rand.Uint64()
	case 5:
		return pick(0.0, -0.5, math.Inf(1), math.NaN(), math.MaxFloat64)
	case 6:
		return float32(rand.Float32())
	case 7:
		return complex(rand.Float64(), 1)
	case 8, 9:
		return text()
	case 10:
		return []byte(text())
	case 11:
		return time.Unix(rand.Int63n(1<<32), 5)
	case 12:
		return rune('é')
	case 13:
		return []string{text(), text()}
	case 14:
		return map[string]string{text(): text()}
	case 15:
		return Address{text(), rand.Int(), []string{text()}, &Address{Street: text()}}
	case 16:
		return Basket{map[string]float64{text(): 0.5}, time.Now(), [2][3]int8{{1}}, []bool{true}}
	case 17:
		return []int{1, rand.Int()}
	// What an interface within a value holds is of a type that gob knows: another one makes the session unreadable, which
	// is a limit of the decoder's.
	case 18:
		return []interface{}{value(basic), value(basic)}
	default:
		return some(basic)
	}
}

func some(most int) map[string]interface{} {
	values := map[string]interface{}{}
	for i := rand.Intn(5); i > 0; i-- {
		values["k"+text()] = value(most)
	}
	return values
}

func main() {
	seed, _ := strconv.ParseInt(os.Args[1], 10, 64)
	count, _ := strconv.Atoi(os.Args[2])
	rand.Seed(seed)
	for _, registered := range []interface{}{time.Time{}, Address{}, Basket{}, []interface{}{}, map[string]interface{}{}, map[string]string{}} {
		gob.Register(registered)
	}
	for i := 0; i < count; i++ {
		values, spelt := some(every), "-"
		if rand.Intn(5) > 0 {
			user := pick(rand.Int(), -rand.Intn(300), int64(rand.Int63()), int32(rand.Int31()), uint64(rand.Uint64()), uint8(200), "user-"+strconv.Itoa(rand.Int()), "é|")
			values["userID"] = user
			spelt = base64.StdEncoding.EncodeToString([]byte(fmt.Sprint(user)))
		}
		// As codec.go of scs has it.
		session := &struct {
			Deadline time.Time
			Values   map[string]interface{}
		}{time.Now().Add(time.Hour), values}
		var data bytes.Buffer
		if err := gob.NewEncoder(&data).Encode(session); err != nil {
			panic(err)
		}
		fmt.Println(base64.StdEncoding.EncodeToString(data.Bytes()), spelt)
	}
}
